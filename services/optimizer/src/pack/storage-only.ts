/** What a report says of forms that ONNX Runtime unpacks at load. */
export const storageOnly = 'Storage only: the file is smaller; memory and time of answers stay as they were.';
