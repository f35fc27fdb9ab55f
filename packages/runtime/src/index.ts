// users of sessions
export { openSession, optimizedWeights } from './session.js';
export type { Session, SessionOptions } from './session.js';
export { openStatefulSession } from './stateful-session.js';
export type { StatePair, StatefulSession } from './stateful-session.js';
export { openScannedSession } from './scanned-session.js';
export type { ScannedSession } from './scanned-session.js';
export { openTeam } from './team.js';
export type { Team } from './team.js';
export type { SharedTensor, TeamKernel, TeamMember, TeamModel, TeamTask } from './team-program.js';
export type { TypedTensor, TensorArray, TensorData, TensorSignature } from './tensor.js';
export { decodeStrings, elementBytes, elementCount, encodeStrings } from './tensor.js';
export { engineVersion } from './engine-version.js';
export { availableProviders, chosenProviders } from './providers.js';
export { deviceEnvironment } from './device-environment.js';
export { probeProvider } from './probe-provider.js';
export type { Provider } from './providers.js';
// users of runners
export { RunnerError } from './runner-error.js';
export type { RunnerErrorKind } from './runner-error.js';
export type { RunnerOptions } from './runner-options.js';
export type { LoadedModel, MeasuredCase, RunResult, Runner } from './runner.js';
export { startRunner } from './runner.js';
export { memoryWithRoom, roomBefore, takeRoomBefore } from './memory-with-room.js';
export { startRunnerPool } from './runner-pool.js';
export type { RunnerEvent, RunnerPool, RunnerPoolOptions } from './runner-pool.js';
export { probation } from './probation.js';
export type { ProbationLimits } from './probation.js';
export { zeroInputs } from './zero-inputs.js';
// users of other processes
export { openMemoryGauge } from './memory-gauge.js';
