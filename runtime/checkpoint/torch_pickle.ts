/**
 * What the names in a `.pt` file's pickle mean: the allow-list, with tensors as descriptions of where their elements
 * are. Everything else torch.save may put in the file is kept opaque or refused by name.
 */
import { RuntimeError, quote } from '../error.ts';
import { elementCount } from './dtype.ts';
import type { DType } from './dtype.ts';
import { PickleExternal, PickleGlobal, PickleObject, PickleTuple, withArticle } from './pickle_values.ts';
import type { PickleConstructor, PickleValue } from './pickle_values.ts';

const STORAGE_DTYPES: Readonly<Record<string, DType>> = {
  FloatStorage: 'f32',
  HalfStorage: 'f16',
  BFloat16Storage: 'bf16',
  DoubleStorage: 'f64',
  LongStorage: 'i64',
  IntStorage: 'i32',
  ShortStorage: 'i16',
  CharStorage: 'i8',
  ByteStorage: 'u8',
  BoolStorage: 'bool',
};
const MAX_RANK = 64;

/** Flat elements in the archive's entry `data/<key>`; views share one. */
export class StorageRef extends PickleExternal {
  readonly kind = 'storage';
  constructor(
    readonly key: string,
    readonly dtype: DType,
    /** Elements. */
    readonly count: number,
  ) {
    super();
  }
}

/** A view of a storage; offset and strides in elements. */
export class TensorRef extends PickleExternal {
  readonly kind = 'tensor';
  constructor(
    readonly storage: StorageRef,
    readonly offset: number,
    readonly shape: number[],
    readonly strides: number[],
  ) {
    super();
  }
}

/** An object that says nothing about the weights, such as a `torch.device`. */
class Opaque extends PickleExternal {
  constructor(readonly kind: string) {
    super();
  }
}

function bad(where: string, what: string, why: string): RuntimeError {
  const fix = 'the file is damaged or not a PyTorch checkpoint: download or save it again';
  return new RuntimeError({ code: 'bad-format', where, what, why, fix });
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function sizes(value: PickleValue | undefined, where: string, what: string): number[] {
  if (value instanceof PickleTuple && value.items.length <= MAX_RANK && value.items.every(isSize))
    return [...value.items];
  throw bad(
    where,
    `a tensor's ${what} is malformed`,
    `it must be a tuple of at most ${MAX_RANK} non-negative integers`,
  );
}

/** `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])`. */
function rebuildTensor(args: readonly PickleValue[], where: string): TensorRef {
  const [storage, offset, size, stride] = args;
  if (!(storage instanceof StorageRef))
    throw bad(where, `a tensor's storage is ${withArticle(storage)}`, 'it must be a storage');
  if (!isSize(offset))
    throw bad(where, `a tensor's offset is ${withArticle(offset)}`, 'it must be a non-negative integer');
  const shape = sizes(size, where, 'size');
  const strides = sizes(stride, where, 'stride');
  if (shape.length !== strides.length) {
    throw bad(where, 'a tensor is malformed', `it has ${shape.length} sizes and ${strides.length} strides`);
  }
  if (Number.isNaN(elementCount(shape))) throw bad(where, `a tensor's size is [${shape}]`, 'it has over 2^53 elements');
  return new TensorRef(storage, offset, shape, strides);
}

/** A Parameter is its data; the gradient flag, hooks and Python state beside it are of no use here. */
function rebuildParameter(args: readonly PickleValue[], where: string): TensorRef {
  if (args[0] instanceof TensorRef) return args[0];
  throw bad(where, `a parameter's data is ${withArticle(args[0])}`, 'it must be a tensor');
}

/** `OrderedDict()` or `OrderedDict([(key, value), …])`; torch.save writes only the first. */
function orderedDict(args: readonly PickleValue[], where: string): Map<PickleValue, PickleValue> {
  if (args.length === 0) return new Map();
  throw bad(where, 'an OrderedDict is built from arguments', 'torch.save writes it empty and then sets its items');
}

/** The names a checkpoint may use. */
export const TORCH_GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map(
  (
    [
      ...Object.keys(STORAGE_DTYPES).map((name): [string] => [`torch.${name}`]),
      ['torch._utils._rebuild_tensor_v2', rebuildTensor],
      ['torch._utils._rebuild_parameter', rebuildParameter],
      ['torch._utils._rebuild_parameter_with_state', rebuildParameter],
      ['collections.OrderedDict', orderedDict],
      ['argparse.Namespace', () => new PickleObject('argparse.Namespace')],
      ['torch.Size', (args, where) => new PickleTuple(sizes(args[0], where, 'torch.Size'))],
      ['torch.device', () => new Opaque('torch.device')],
    ] as [string, PickleConstructor?][]
  ).map(([name, construct]) => [name, new PickleGlobal(name, construct)]),
);

/** A persistent id: `('storage', storage type, key, location, element count)`. The location (cpu, cuda:0) is moot. */
export function loadStorage(id: PickleValue, where: string): StorageRef {
  const [tag, type, key, , count] = id instanceof PickleTuple ? id.items : [];
  const name = type instanceof PickleGlobal ? type.name.replace(/^torch\./, '') : '';
  if (tag !== 'storage' || !Object.hasOwn(STORAGE_DTYPES, name) || typeof key !== 'string' || !isSize(count)) {
    throw bad(where, 'a persistent id is malformed', "it must be ('storage', type, key, location, count)");
  }
  if (key.length > 256)
    throw bad(where, `the storage key ${quote(key, 40)} is too long`, 'at most 256 characters are allowed');
  return new StorageRef(key, STORAGE_DTYPES[name], count);
}
