/** The runtime's public face, the same in Node and in a page. What needs Node's files or Dawn is under `runtime/node/`. */
export { openDevice, specFromAdapter, USEFUL_FEATURES } from './device.ts';
export type { DeviceKind, DeviceSpec, OpenDevice, OpenOptions, Profile } from './device.ts';
export { RuntimeError } from './error.ts';
export type { MemoryReport } from './buffers.ts';
export { humanBytes } from './buffers.ts';
export { RunnableModel } from './model.ts';
export type { RunOptions } from './model.ts';
export type { AnySignature, Signature } from './signature.ts';
export type { ArrayOf, DType, Numbers, Tensor, TensorLike } from './tensor.ts';
export { Program } from './program.ts';
export type { ProgramOptions } from './program.ts';
export { initialise, loadParams, setFirstValues } from './weights.ts';
export type { Chunks, OnWeights, Values } from './weights.ts';
export { openCheckpoint } from './checkpoint/open.ts';
export { matchParameters } from './checkpoint/match.ts';
export { MemorySource } from './checkpoint/source.ts';
export type { ByteSource, TensorFile, TensorInfo } from './checkpoint/source.ts';
export type { Artefact, Manifest } from '../compiler/emit/artefact.ts';
