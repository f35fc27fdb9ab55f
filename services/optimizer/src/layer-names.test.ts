import { makeNode } from '@modelmill/onnx';
import { excludedLayers, layerName } from './layer-names.js';

const layers = [
  makeNode('Conv', [], ['a'], {}, 'block1.conv'),
  makeNode('Conv', [], ['b'], {}, 'block12conv'),
  { ...makeNode('Gemm', [], ['logits']), name: '' },
];
const excluded = (...patterns: string[]) => layers.filter(excludedLayers(patterns, layers)).map(layerName);

it('layers are excluded by their names, by what they make where they have none, and by patterns', () => {
  expect(excluded()).toEqual([]);
  expect(excluded('block1.conv')).toEqual(['block1.conv']); // a point is a point
  expect(excluded('block*', 'logits')).toEqual(['block1.conv', 'block12conv', 'logits']);
  expect(excluded('*conv')).toEqual(['block1.conv', 'block12conv']);
});

it('a pattern that names no layer is told, with those there are', () =>
  expect(() => excluded('block1.conv', 'conv2')).toThrow(
    "exclude 'conv2' names none of the layers that it could leave out: 'block1.conv', 'block12conv', 'logits'",
  ));
