/** An error's text for people who must not learn of the files and functions of the machine that built or runs this. */
export function withoutPaths(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replaceAll(process.cwd(), '')
    .replace(/\S*\.(h|hpp|cc|cpp|cu|cuh|onnx|so)\b(\.\d+)*(:\d+)?/g, '')
    .replace(/'?\/\S*\/[0-9a-f]{64}\S*/g, '')
    .replace(/[\w:~<>&* ]*onnxruntime::[\w:~<>]*(\([^)]*\))?(::<lambda[^>]*>)?( const)?/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 400);
}
