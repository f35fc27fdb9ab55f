import { writeFileSync } from 'node:fs';
import { buildLayers, trainingStep } from '@modelmill/autodiff';
import { counterRandom } from '@modelmill/data';
import { writeOnnx } from '@modelmill/onnx';
const relu = { kind:'activation', function: 'relu' };
const conv = (filters, k, s) => [{ kind: 'conv2d', filters, kernel: [k,k], stride: [s,s], padding: 'same', groups: 1 }, { kind: 'batch_norm' }, relu];
const dense=(units,activation)=>({kind:'dense',units,...(activation?{activation}:{})});
const drop=(rate)=>({kind:'dropout',rate});
const nets={
 base:[{kind:'reshape',shape:[1,28,28]},...conv(32,3,1),...conv(32,3,2),drop(.4),...conv(64,3,1),...conv(64,3,2),drop(.4),{kind:'flatten'},dense(128,'relu'),drop(.4),dense(10)],
 s2b:[{kind:'reshape',shape:[1,28,28]},...conv(32,5,2),drop(.2),...conv(64,3,2),...conv(64,3,1),drop(.4),{kind:'flatten'},dense(128,'relu'),drop(.4),dense(10)],
};
const name=process.argv[2];
const built=buildLayers(nets[name],{featureShape:[784],random:(s,c)=>counterRandom(1n,s).uniform(0,c),name});
const step=trainingStep(built.forward,{batchSize:64,exampleShape:[784],loss:{kind:'cross_entropy',labelSmoothing:0.1},optimizer:{kind:'adam',beta1:.9,beta2:.999,epsilon:1e-8,weightDecay:.02},decayMatricesOnly:true});
writeFileSync(`/tmp/mill/step-${name}.onnx`,writeOnnx(step.model));
console.log(name, step.model.graph.nodes.length, JSON.stringify(step.inputs));
