/** How ONNX Runtime computes the steps of a training on the CPU, on one thread or several. */
export const trainingSessions = {
  keepMemory: true,
  memoryPattern: false, // no faster, and a quarter more memory for a convolutional network
  flushDenormals: true,
  spinMicroseconds: 50, // from one operator to the next, and not for as long as other processes wait
  // blocked layouts pay where weights are constants; here each would be laid out anew at every step
  graphOptimization: 'extended',
} as const;
