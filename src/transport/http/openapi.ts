import { type RefusalCode, refusals } from '../../record/rejection.ts';

const codes = Object.keys(refusals) as RefusalCode[];
const codesOf = (kind: 'rejected' | 'unavailable', status?: number) =>
  codes.filter((code) => refusals[code].kind === kind && (status === undefined || refusals[code].status === status));

const hash = { type: 'string', pattern: '^[0-9a-f]{64}$' };
const sequence = { type: 'integer', format: 'int64', minimum: 0 };
const bytesOf = (count: number) => ({
  description: `${count} bytes: hexadecimal text or an array of integers`,
  oneOf: [
    { type: 'string', pattern: `^[0-9a-fA-F]{${2 * count}}$` },
    { type: 'array', items: { type: 'integer', minimum: 0, maximum: 255 }, minItems: count, maxItems: count },
  ],
});
const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: object) => ({ 'application/json': { schema } });

const schemas = {
  Record: {
    type: 'object',
    additionalProperties: false,
    required: ['device_id', 'sequence', 'timestamp_ms', 'payload_hash', 'signature', 'prev_record_hash', 'object_ref'],
    properties: {
      device_id: { type: 'string', minLength: 1, description: '1 to 255 bytes of UTF-8, no control characters' },
      sequence: { ...sequence, minimum: 1 },
      timestamp_ms: { ...sequence, description: "milliseconds since the Unix epoch by the device's clock" },
      payload_hash: bytesOf(32),
      signature: bytesOf(64),
      prev_record_hash: bytesOf(32),
      object_ref: {
        type: 'string',
        minLength: 1,
        description: 'at most 1024 bytes; an s3://bucket/ prefix is dropped',
      },
    },
  },
  Envelope: {
    type: 'object',
    additionalProperties: false,
    required: ['record', 'raw_payload_hex'],
    properties: { record: reference('Record'), raw_payload_hex: { type: 'string', pattern: '^([0-9a-fA-F]{2})*$' } },
  },
  Accepted: {
    type: 'object',
    additionalProperties: false,
    required: ['status', 'record_hash'],
    properties: {
      status: { const: 'accepted' },
      record_hash: hash,
      stored: { const: 'relay', description: 'durable at the site, not at the centre yet' },
    },
  },
  Rejected: {
    type: 'object',
    additionalProperties: false,
    required: ['status', 'code', 'error'],
    properties: {
      status: { const: 'rejected' },
      code: { enum: codesOf('rejected') },
      error: { type: 'string' },
      expected_sequence: sequence,
      identical: { type: 'boolean' },
    },
  },
  Unavailable: {
    type: 'object',
    additionalProperties: false,
    required: ['status', 'code', 'error', 'retry_after_seconds'],
    properties: {
      status: { const: 'unavailable' },
      code: { enum: codesOf('unavailable') },
      error: { type: 'string' },
      retry_after_seconds: { type: 'integer', minimum: 1 },
    },
  },
  Verdict: { oneOf: [reference('Accepted'), reference('Rejected'), reference('Unavailable')] },
  Head: {
    type: 'object',
    additionalProperties: false,
    required: ['device_id', 'sequence', 'record_hash'],
    properties: { device_id: { type: 'string' }, sequence, record_hash: hash },
  },
};

const rejected = (status: number) => ({
  description: codesOf('rejected', status).join(', '),
  content: json(reference('Rejected')),
});
const unavailable = (status: number) => ({
  description: codesOf('unavailable', status).join(', '),
  headers: { 'Retry-After': { schema: { type: 'integer' }, description: 'seconds' } },
  content: json(reference('Unavailable')),
});
/** Whatever is asked: not HTTP, a source that is not allowed, another method, too slow, headers too large. */
const anywhere = [400, 403, 405, 408, 431];
const statuses = (...more: number[]) =>
  Object.fromEntries([...anywhere, ...more].map((status) => [status, rejected(status)]));

const paths = {
  '/api/v1/ingest': {
    post: {
      operationId: 'ingest',
      summary: 'Judge one record and make it durable',
      requestBody: { required: true, content: json(reference('Envelope')) },
      responses: {
        202: { description: 'payload, record and operation log are durable', content: json(reference('Accepted')) },
        ...statuses(413, 415, 422),
        429: unavailable(429),
        503: unavailable(503),
      },
    },
  },
  '/api/v1/ingest/batch': {
    post: {
      operationId: 'ingestBatch',
      summary: 'One envelope a line in, one verdict a line out, in the same order',
      requestBody: { required: true, content: { 'application/x-ndjson': { schema: reference('Envelope') } } },
      responses: {
        200: {
          description: 'a verdict a line; read while writing',
          content: { 'application/x-ndjson': { schema: reference('Verdict') } },
        },
        ...statuses(415),
      },
    },
  },
  '/api/v1/devices/{id}/head': {
    get: {
      operationId: 'deviceHead',
      summary: "The last link of a device's chain; sequence 0 and zeros before the first record",
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
      responses: {
        200: { description: 'the head', content: json(reference('Head')) },
        ...statuses(404),
        429: unavailable(429),
        503: unavailable(503),
      },
    },
  },
  '/openapi.json': {
    get: {
      operationId: 'openapi',
      summary: 'This document',
      responses: { 200: { description: 'OpenAPI 3.1', content: json({ type: 'object' }) }, ...statuses() },
    },
  },
};

/** The ingest port as an OpenAPI 3.1 document, JSON text. */
export const openapiDocument = JSON.stringify({
  openapi: '3.1.0',
  info: { title: 'EdgeSentry ingest', version: '1', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
  paths,
  components: { schemas },
});
