import assert from 'node:assert/strict';
import test from 'node:test';
import { builtInDefinitions, builtInKinds, closed, customKinds, type OpenApi } from './strict-schema.ts';

test('a misspelled field has no place, however deep it stands', () => {
  const port = { type: 'object', properties: { name: { type: 'string' } } };
  const schema = closed({
    type: 'object',
    properties: {
      ports: { type: 'array', items: port },
      byName: { type: 'object', additionalProperties: port },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
    },
  });
  const strict = { ...port, additionalProperties: false };
  assert.deepEqual(schema, {
    type: 'object',
    additionalProperties: false,
    properties: {
      ports: { type: 'array', items: strict },
      byName: { type: 'object', additionalProperties: strict },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
    },
  });
});

test('what may hold anything still may', () => {
  const config = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { name: {} } };
  assert.deepEqual(closed(config), { ...config, additionalProperties: true });
  assert.deepEqual(closed({ type: 'object' }), { type: 'object' });
});

test('an alternative that names one of the fields does not forbid the others', () => {
  const anyOf = [{ properties: { duration: { maxLength: 8 } }, required: ['duration'] }, { required: ['size'] }];
  const properties = { duration: { type: 'string' }, size: { type: 'integer' } };
  assert.deepEqual(closed({ type: 'object', properties, anyOf }).anyOf, anyOf);
});

const pod = { group: '', version: 'v1', kind: 'Pod' };
const openApi: OpenApi = {
  definitions: {
    'io.k8s.apimachinery.pkg.api.resource.Quantity': { type: 'string' },
    'io.k8s.apimachinery.pkg.util.intstr.IntOrString': { type: 'string', format: 'int-or-string' },
    'io.k8s.api.core.v1.Pod': { type: 'object', properties: {}, 'x-kubernetes-group-version-kind': [pod] },
    'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions': {
      'x-kubernetes-group-version-kind': [pod, { group: 'apps', version: 'v1', kind: 'Deployment' }],
    },
  },
};

test('a quantity and a port may be numbers, and a quantity is one of those that Kubernetes reads', () => {
  const definitions = builtInDefinitions(openApi);
  const port = definitions['io.k8s.apimachinery.pkg.util.intstr.IntOrString'];
  assert.deepEqual(port?.type, ['string', 'integer']);
  const { type, pattern } = definitions['io.k8s.apimachinery.pkg.api.resource.Quantity'] ?? {};
  assert.deepEqual(type, ['string', 'number']);
  const quantity = new RegExp(String(pattern));
  for (const text of ['250m', '512Mi', '0.5', '.5G', '1e3', '2E', '-1']) assert.match(text, quantity);
  for (const text of ['', '512MB', '1 Gi', 'Gi', '1Gib', '1.2.3']) assert.doesNotMatch(text, quantity);
});

test('a kind is found under its group and version', () => {
  assert.deepEqual(builtInKinds(openApi), [{ ...pod, definition: 'io.k8s.api.core.v1.Pod' }]);
});

test("an extension's kind has a schema for each version, with the metadata that every object has", () => {
  const openAPIV3Schema = { properties: { spec: { properties: {} }, metadata: { type: 'object' } } };
  const versions = [
    { name: 'v1', schema: { openAPIV3Schema } },
    { name: 'v1beta1', schema: { openAPIV3Schema } },
  ];
  const metadata = { $ref: 'ObjectMeta' };
  const kinds = customKinds({ spec: { group: 'a.example', names: { kind: 'Lift' }, versions } }, metadata);
  const spec = { properties: {}, additionalProperties: false };
  const schema = { properties: { spec, metadata }, additionalProperties: false };
  assert.deepEqual(kinds, [
    { group: 'a.example', version: 'v1', kind: 'Lift', schema },
    { group: 'a.example', version: 'v1beta1', kind: 'Lift', schema },
  ]);
});
