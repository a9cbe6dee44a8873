/**
 * JSON Schemas of Kubernetes objects from what Kubernetes and its extensions publish: OpenAPI 2 of the built-in kinds, and
 * CustomResourceDefinitions. They know of a field whether it exists, not whether a feature gate has it on.
 */

/** As OpenAPI has it, which is JSON Schema draft 4 with more words. */
export type Schema = {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly [keyword: string]: unknown;
};

export type GroupVersionKind = { readonly group: string; readonly version: string; readonly kind: string };

/** Kubernetes' api/openapi-spec/swagger.json */
export type OpenApi = { readonly definitions: Readonly<Record<string, Schema>> };

/** apiextensions.k8s.io/v1 */
export type CustomResourceDefinition = {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
};

export type Kind = GroupVersionKind & { readonly schema: Schema };

/** Decimal, with an exponent or with a suffix of the SI or of IEC 80000-13: Kubernetes' resource.Quantity. */
const quantity = '^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$';

/** What OpenAPI 2 calls a string, having no word for two types, and the API server takes as a number too. */
const alsoNumbers: Readonly<Record<string, Schema>> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': { type: ['string', 'number'], pattern: quantity },
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': { type: ['string', 'integer'] },
};

export const objectMeta = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

/** Of every type that the built-in kinds are made of, by its name; they refer to one another by `#/definitions/NAME`. */
export function builtInDefinitions({ definitions }: OpenApi): Readonly<Record<string, Schema>> {
  return { ...mapValues(definitions, closed), ...alsoNumbers };
}

/** The kinds among the definitions, each with its definition's name. Those of all groups, such as DeleteOptions, are no objects. */
export function builtInKinds({ definitions }: OpenApi): (GroupVersionKind & { readonly definition: string })[] {
  return Object.entries(definitions).flatMap(([definition, schema]) => {
    const kinds = (schema['x-kubernetes-group-version-kind'] ?? []) as readonly GroupVersionKind[];
    return kinds.length === 1 ? kinds.map((kind) => ({ ...kind, definition })) : [];
  });
}

/** @param metadata schema of `metadata`, of which a CustomResourceDefinition says only that it is an object */
export function customKinds({ spec }: CustomResourceDefinition, metadata: Schema): Kind[] {
  return spec.versions.map(({ name, schema: { openAPIV3Schema } }) => {
    const schema = closed(openAPIV3Schema);
    return {
      group: spec.group,
      version: name,
      kind: spec.names.kind,
      schema: { ...schema, properties: { ...schema.properties, metadata } },
    };
  });
}

/**
 * The schema without room for a property that it does not name; the API server drops such a one without a word. What stands
 * under `anyOf` and its like narrows a schema and names only some of its properties: it stays as it is.
 */
export function closed(schema: Schema): Schema {
  const { properties, items, additionalProperties } = schema;
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true;
  return {
    ...schema,
    ...(properties && { properties: mapValues(properties, closed), additionalProperties: isOpen }),
    ...(items && { items: closed(items) }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: closed(additionalProperties) }),
  };
}

function mapValues<A, B>(object: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
