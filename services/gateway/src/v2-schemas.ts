const string = { type: 'string' };
const strings = { type: 'array', items: string };
const boolean = { type: 'boolean' };
const shape = { type: 'array', items: { type: 'integer', format: 'int64' } };
const parameters = { type: 'object', additionalProperties: true };
const object = (properties: object, required: readonly string[] = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
});
const list = (items: object) => ({ type: 'array', items });

const tensorMetadata = object({ name: string, datatype: string, shape });
const data = { description: 'Elements in row-major order, nested or flat; 64-bit integers with all their digits' };

/** JSON schemas of the Open Inference Protocol and of the V1 protocols. */
export const schemas = {
  any: {},
  live: object({ live: boolean }),
  ready: object({ ready: boolean }),
  serverMetadata: object({ name: string, version: string, extensions: strings }),
  models: object({ models: strings }),
  modelReady: object({ name: string, ready: boolean }),
  modelMetadata: object({
    name: string,
    versions: strings,
    platform: string,
    inputs: list(tensorMetadata),
    outputs: list(tensorMetadata),
  }),
  inferRequest: object(
    {
      id: string,
      parameters,
      inputs: list(object({ name: string, datatype: string, shape, parameters, data }, ['name', 'datatype', 'shape'])),
      outputs: list(object({ name: string, parameters }, ['name'])),
    },
    ['inputs'],
  ),
  inferAnswer: object(
    {
      id: string,
      model_name: string,
      model_version: string,
      parameters,
      outputs: list(object({ name: string, datatype: string, shape, parameters, data }, ['name', 'datatype', 'shape'])),
    },
    ['model_name', 'outputs'],
  ),
  index: list(object({ name: string, version: string, state: string, reason: string })),
  predictRequest: {
    type: 'object',
    properties: {
      signature_name: string,
      instances: { type: 'array', description: 'Rows: values of the one input, or objects by input name' },
      inputs: { description: 'Columns: values of the one input, or an object by input name' },
    },
  },
  predictAnswer: {
    type: 'object',
    properties: {
      predictions: { type: 'array', description: 'For instances: one answer for each' },
      outputs: { description: 'For inputs: values of the one output, or an object by output name' },
    },
  },
  error: object({ error: string }),
};
