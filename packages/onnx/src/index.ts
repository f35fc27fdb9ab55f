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
