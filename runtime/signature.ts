/** The names and tensors of an artefact as types: what the `index.ts` of a build declares, and `load` makes a model of. */
import type { DType, Tensor, TensorLike } from './tensor.ts';

/** Each member is an interface by name: of an entry `{ inputs, outputs }`, each of tensors by name; the others of tensors. */
export interface Signature {
  /** By entry, `{ inputs, outputs }`. */
  readonly entries: object;
  /** Weights. */
  readonly params: object;
  /** What is kept between runs. */
  readonly states: object;
}

/** The names of a group, as text. */
export type NameIn<Group> = keyof Group & string;

/** Any names, where no bindings say which there are. */
type Any = Readonly<Record<string, Tensor>>;
/** Of an artefact whose names and shapes are not known as types: tensors by any name. */
export interface AnySignature extends Signature {
  readonly entries: Readonly<Record<string, { readonly inputs: Any; readonly outputs: Any }>>;
  readonly params: Any;
  readonly states: Any;
}

type Part<Entry, Name extends 'inputs' | 'outputs'> = Entry extends Record<Name, infer Group> ? Group : never;

/** What a tensor may be given as. */
export type Given<T> = T extends Tensor<infer D extends DType, infer Shape> ? TensorLike<D, Shape> : never;

export type InputsOf<Entry> = { readonly [K in keyof Part<Entry, 'inputs'>]: Given<Part<Entry, 'inputs'>[K]> };
export type OutputsOf<Entry> = Part<Entry, 'outputs'>;
