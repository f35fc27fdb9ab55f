import { trainer } from '@modelmill/contracts';
import { fromJson, parseOptimizationSpec, parseTrainingSpec, toJson } from './json.js';
import { SpecError } from './spec-error.js';

const problemOf = (json: unknown): SpecError => {
  try {
    parseTrainingSpec(json);
  } catch (error) {
    if (error instanceof SpecError) return error;
  }
  throw new Error('the spec was taken');
};

describe('a spec', () => {
  it('reads fields in either spelling, and numbers as text where they may be long', () => {
    const spec = parseTrainingSpec({
      model: 'digits',
      layers: [{ conv2d: { filters: 8, kernel: [3, 3] } }, { global_average_pool: {} }],
      batch_size: 32,
      optimizer: { adam: { learningRate: 0.01 } },
      seed: '18446744073709551615',
    });
    expect(spec).toEqual(
      trainer.TrainingSpec.fromPartial({
        model: 'digits',
        layers: [
          { kind: { $case: 'conv2d', conv2d: { filters: 8, kernel: [3, 3] } } },
          { kind: { $case: 'globalAveragePool', globalAveragePool: {} } },
        ],
        batchSize: 32,
        optimizer: { kind: { $case: 'adam', adam: { learningRate: 0.01 } } },
        seed: 18446744073709551615n,
      }),
    );
  });

  it.each([
    [{ modell: 'x' }, 'modell', "modell: TrainingSpec has no field 'modell'; did you mean 'model' or 'mode'?"],
    [
      { layers: [{ flatten: {} }, { conv2d: { filter: 2 } }] },
      'layers[1].conv2d.filter',
      "layers[1].conv2d.filter: Conv2dLayer has no field 'filter'; did you mean 'filters'?",
    ],
    [
      { data: { zzz: 1 } },
      'data.zzz',
      "data.zzz: TrainingData has no field 'zzz'; wanted 'dataset', 'version', 'normalize', 'tokenizer', 'context'",
    ],
    [{ epochs: 'ten' }, 'epochs', 'epochs: expected number (uint32), got "ten"'],
    [{ epochs: -1 }, 'epochs', 'epochs: expected number (uint32): -1 out of range'],
    [{ layers: {} }, 'layers', 'layers is {}, wanted a list'],
    [{ layers: [{ flatten: {}, dense: {} }] }, 'layers[0]', "layers[0]: 'flatten' and 'dense' exclude each other"],
    [
      { layers: [{ conv2d: { kernel: [3, 'a'] } }] },
      'layers[0].conv2d.kernel[1]',
      'layers[0].conv2d.kernel[1]: expected number (uint32), got "a"',
    ],
  ])('%j is refused with the place of its fault', (json, place, message) =>
    expect(problemOf(json)).toMatchObject({ place, message }),
  );

  it('that is not an object is refused with what an object may hold', () =>
    expect(() => parseOptimizationSpec('prune')).toThrow(
      /^the spec is "prune", wanted an object with 'model', 'version'/,
    ));
});

describe('a message as JSON', () => {
  it('survives the way out and back', () => {
    const event = fromJson('modelmill.v1.Event', {
      sequence: '12',
      subject: 'mill.event.model.digits.1.ready',
      time: '2026-11-23T12:00:00Z',
      data: { replicas: 2, nested: { list: [1, 'two', null] } },
    });
    expect(event).toMatchObject({ sequence: 12n, time: new Date('2026-11-23T12:00:00Z') });
    expect(fromJson('modelmill.v1.Event', toJson('modelmill.v1.Event', event))).toEqual(event);
  });

  it('is spelled as in the contracts, and tells unset fields when asked to', () => {
    const request = trainer.GetTrainingRequest.fromPartial({});
    expect(toJson('modelmill.v1.GetTrainingRequest', request)).toEqual({});
    expect(toJson('modelmill.v1.GetTrainingRequest', request, { defaults: true })).toEqual({ job_id: '' });
  });
});
