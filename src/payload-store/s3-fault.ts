/** What an S3 request failed with. `status` is undefined when there was no HTTP answer. */
export type S3Fault = {
  readonly status: number | undefined;
  /** The store's own error code, or the name of a failure on the way to it. */
  readonly code: string;
  readonly message: string;
  readonly requestId: string | undefined;
};

/** A store's message can carry an HTML page of a proxy. */
const messageCharactersMax = 200;

/**
 * Takes from an SDK error what may be told. The error itself is not passed on: beside its message it carries fields of
 * the store's answer, such as the access key and the signed string.
 */
export function toFault(error: unknown): S3Fault {
  if (!(error instanceof Error)) return { status: undefined, code: 'Error', message: '', requestId: undefined };
  const { code, $metadata } = error as Error & {
    code?: unknown;
    $metadata?: { httpStatusCode?: number; requestId?: string };
  };
  return {
    status: $metadata?.httpStatusCode,
    code: typeof code === 'string' ? code : error.name,
    message: error.message.slice(0, messageCharactersMax),
    requestId: $metadata?.requestId,
  };
}

/** 409 is ConditionalRequestConflict: another put of the key is under way, and how it ends is not known yet. */
const transientStatuses = new Set([408, 409, 429, 500, 502, 503, 504]);
/** Refusals that the next attempt can escape: the body was damaged or cut on its way, or our clock is corrected now. */
const transientCodes = new Set([
  'RequestTimeout',
  'BadDigest',
  'IncompleteBody',
  'XAmzContentSHA256Mismatch',
  'RequestTimeTooSkewed',
]);

/** Whether trying again may help. No answer at all counts: the put may have happened, which the retry finds out. */
export function isTransient({ status, code }: S3Fault): boolean {
  if (code === 'CredentialsProviderError') return false;
  return status === undefined || transientStatuses.has(status) || transientCodes.has(code);
}

/** The store can hold no object of this name: too long for it, or below a name that is an object itself (MinIO). */
const unusableNames = new Set(['KeyTooLongError', 'XMinioParentIsObject', 'XMinioInvalidObjectName']);

export function isUnusableName({ code }: S3Fault): boolean {
  return unusableNames.has(code);
}

/** The reason in words, with the way out where it is known. */
export function explain({ status, code, message, requestId }: S3Fault): string {
  const reason = reasons[code] ?? (status === 501 ? reasons.NotImplemented : undefined) ?? message;
  const request = requestId === undefined ? '' : `, request ${requestId}`;
  return `${reason || 'no reason given'} (${code}${status === undefined ? '' : `, HTTP ${status}`}${request})`;
}

const wrongKeys = 'the store does not accept the credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
const wrongRegion = 'the bucket is in another region: check AWS_REGION and the endpoint';
const noAnswer = 'the store did not answer in time';
const reasons: Record<string, string> = {
  NoSuchBucket: 'the bucket does not exist: create it, or correct its name',
  InvalidAccessKeyId: wrongKeys,
  SignatureDoesNotMatch: wrongKeys,
  ExpiredToken: 'the session token has expired',
  CredentialsProviderError: 'no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role',
  AccessDenied:
    'the credentials do not permit this: writing needs s3:PutObject, the audit s3:GetObject and s3:ListBucket',
  PermanentRedirect: wrongRegion,
  AuthorizationHeaderMalformed: wrongRegion,
  NotImplemented: 'the store lacks what write-once puts need: If-None-Match on PutObject',
  TimeoutError: noAnswer,
  AbortError: noAnswer,
};
