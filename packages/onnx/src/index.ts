export { dataTypes, OnnxFormatError, ShapeError } from './model.js';
export type {
  Attribute,
  DataType,
  Dim,
  FunctionDef,
  Graph,
  Model,
  Node,
  SparseTensor,
  Tensor,
  ValueInfo,
  ValueType,
} from './model.js';
export { readOnnx, emptyGraph } from './read-onnx.js';
export { onnxPieces, splitOnnx, writeOnnx } from './write-onnx.js';
export type { SplitOnnx } from './write-onnx.js';
export type { ExternalData } from './external-data.js';
export type { ByteSource } from './protobuf-reader.js';
export { signatureOf } from './signature.js';
export type { Signature, TensorSignature } from './signature.js';
export { checkAdmission } from './admission.js';
export type { AdmissionLimits } from './admission-limits.js';
export { AdmissionError } from './admission-error.js';
export {
  attribute,
  byteLength,
  computedTensor,
  elementCount,
  floatAttribute,
  floatTensor,
  floatView,
  floatsOf,
  int64Tensor,
  intTensor,
  intsOf,
  oipDatatype,
  renamedTensor,
} from './tensor.js';
// editing
export {
  cloneModel,
  consumersOf,
  cutFinalSoftmax,
  makeNode,
  producerOf,
  removeNode,
  removeUnused,
  replaceInput,
  subgraphsOf,
  topologicallySorted,
  uniqueName,
  valueNames,
  valuesRead,
} from './edit.js';
export { freshNames } from './fresh-names.js';
export type { FreshNames } from './fresh-names.js';
export { densify, sparsify } from './sparse.js';
export { globPattern } from './glob.js';
export { zeroSmallest } from './zero-smallest.js';
export { expandFunctions } from './expand-functions.js';
export { einsumTerms } from './einsum-terms.js';
export { inferNode, inferShapes, inferValues, inferWhatIsKnown } from './infer-shapes.js';
export type { InferredValues } from './infer-shapes.js';
export type { StaticType } from './shape-question.js';
export { broadcast } from './shape-question.js';
