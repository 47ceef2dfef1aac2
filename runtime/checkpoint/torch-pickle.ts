/**
 * What the names in a `.pt` file's pickle mean: the allow-list, with tensors as descriptions of where their elements
 * are. Everything else torch.save may put in the file is kept opaque or refused by name.
 */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import type { DType } from './dtype.ts';
import { PickleExternal, PickleGlobal, PickleObject, PickleTuple, withArticle } from './pickle-values.ts';
import type { PickleConstructor, PickleValue } from './pickle-values.ts';

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

/** Storages of types that are not read: what they hold, and the bytes of an element. */
const UNREAD_STORAGES: Readonly<Record<string, readonly [what: string, bytes: number]>> = {
  ComplexHalfStorage: ['complex32', 4],
  ComplexFloatStorage: ['complex64', 8],
  ComplexDoubleStorage: ['complex128', 16],
  QInt8Storage: ['qint8', 1],
  QInt32Storage: ['qint32', 4],
  QUInt8Storage: ['quint8', 1],
  QUInt4x2Storage: ['quint4x2', 1],
  QUInt2x4Storage: ['quint2x4', 1],
};

/** PyTorch's dtypes by name: those of values that say what they are. */
const TORCH_DTYPES: Readonly<Record<string, DType>> = {
  float32: 'f32',
  float16: 'f16',
  bfloat16: 'bf16',
  float64: 'f64',
  int64: 'i64',
  int32: 'i32',
  int16: 'i16',
  int8: 'i8',
  uint64: 'u64',
  uint32: 'u32',
  uint16: 'u16',
  uint8: 'u8',
  bool: 'bool',
};

const inverse = (names: Readonly<Record<string, DType>>): Partial<Record<DType, string>> =>
  Object.fromEntries(Object.entries(names).map(([name, dtype]) => [dtype, name]));

/** PyTorch's storage of each dtype that has one of its own, and its name of each dtype. */
export const STORAGES: Readonly<Partial<Record<DType, string>>> = inverse(STORAGE_DTYPES);
export const TORCH_NAMES = inverse(TORCH_DTYPES) as Readonly<Record<DType, string>>;

/** Dtypes that are not read, and other names that stand for themselves. */
const INERT = [
  ...['float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz', 'float8_e8m0fnu', 'float4_e2m1fn_x2'],
  ...['complex32', 'complex64', 'complex128', 'qint8', 'qint32', 'quint8', 'quint4x2', 'quint2x4'],
  ...[
    'bits8',
    'bits16',
    'bits1x8',
    'bits2x4',
    'bits4x2',
    ...[1, 2, 3, 4, 5, 6, 7].flatMap((n) => [`int${n}`, `uint${n}`]),
  ],
  ...['per_tensor_affine', 'per_channel_affine', 'per_channel_affine_float_qparams', 'per_tensor_symmetric'],
  ...['strided', 'sparse_coo', 'contiguous_format', 'channels_last', 'preserve_format', 'Tensor'],
].map((name) => `torch.${name}`);
const MAX_RANK = 64;

/** Flat elements in the archive's entry `data/<key>`; views share one. */
export class StorageRef extends PickleExternal {
  readonly kind = 'storage';
  constructor(
    readonly key: string,
    /** Undefined for bytes whose type the tensor tells. */
    readonly dtype: DType | undefined,
    /** Elements, or bytes without a type. */
    readonly count: number,
    /** What it holds where that is not read, and the bytes of an element. */
    readonly unread?: readonly [what: string, bytes: number],
  ) {
    super();
  }
}

/** What an element of a storage takes in the file. */
export const bytesPerElement = ({ dtype, unread }: StorageRef): number =>
  unread?.[1] ?? (dtype === undefined ? 1 : DTYPE_BYTES[dtype]);

/** A view of a storage; offset and strides in elements. */
export class TensorRef extends PickleExternal {
  readonly kind = 'tensor';
  constructor(
    readonly storage: StorageRef,
    readonly dtype: DType,
    readonly offset: number,
    readonly shape: number[],
    readonly strides: number[],
    /** The negative bit: the values are those stored times −1. */
    readonly negated: boolean,
  ) {
    super();
  }
}

/** A tensor of a kind that is not read; no other reason to refuse the file. */
export class UnreadTensor extends PickleExternal {
  readonly kind = 'tensor';
  constructor(readonly what: string) {
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

type Rebuilt = TensorRef | UnreadTensor;

/** `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])`. */
function rebuildTensor(args: readonly PickleValue[], where: string): Rebuilt {
  const [storage, offset, size, stride, , , metadata] = args;
  if (storage instanceof StorageRef && storage.unread !== undefined) return new UnreadTensor(storage.unread[0]);
  return viewOf(
    storage,
    storage instanceof StorageRef ? storage.dtype : undefined,
    [offset, size, stride],
    metadata,
    where,
  );
}

/** `_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype[, metadata])`: bytes, typed here. */
function rebuildTyped(args: readonly PickleValue[], where: string): Rebuilt {
  const [storage, offset, size, stride, , , type, metadata] = args;
  const name = type instanceof PickleGlobal ? type.name.replace(/^torch\./, '') : '';
  if (!Object.hasOwn(TORCH_DTYPES, name)) return new UnreadTensor(name || 'a tensor without a type');
  return viewOf(storage, TORCH_DTYPES[name], [offset, size, stride], metadata, where);
}

function viewOf(
  storage: PickleValue,
  dtype: DType | undefined,
  [offset, size, stride]: readonly PickleValue[],
  metadata: PickleValue | undefined,
  where: string,
): Rebuilt {
  if (!(storage instanceof StorageRef) || dtype === undefined)
    throw bad(where, `a tensor's storage is ${withArticle(storage)}`, 'it must be a storage');
  if (!isSize(offset))
    throw bad(where, `a tensor's offset is ${withArticle(offset)}`, 'it must be a non-negative integer');
  const shape = sizes(size, where, 'size');
  const strides = sizes(stride, where, 'stride');
  if (shape.length !== strides.length) {
    throw bad(where, 'a tensor is malformed', `it has ${shape.length} sizes and ${strides.length} strides`);
  }
  if (Number.isNaN(elementCount(shape))) throw bad(where, `a tensor's size is [${shape}]`, 'it has over 2^53 elements');
  const negated = metadata instanceof Map && metadata.get('neg') === true;
  if (negated && (dtype === 'bool' || dtype.startsWith('u'))) return new UnreadTensor(`${dtype} with the negative bit`);
  return new TensorRef(storage, dtype, offset, shape, strides, negated);
}

/** A Parameter is its data; the gradient flag, hooks and Python state beside it are of no use here. */
function rebuildParameter(args: readonly PickleValue[], where: string): Rebuilt {
  if (args[0] instanceof TensorRef || args[0] instanceof UnreadTensor) return args[0];
  throw bad(where, `a parameter's data is ${withArticle(args[0])}`, 'it must be a tensor');
}

/** `torch._tensor._rebuild_from_type_v2(function, type, arguments, state)`: a tensor with attributes, or a Buffer. */
function rebuildFromType([rebuild, , args]: readonly PickleValue[], where: string): PickleValue {
  // PyTorch never nests it; a file may, as deep as it likes.
  const isTensor = rebuild instanceof PickleGlobal && rebuild.construct !== rebuildFromType;
  if (isTensor && rebuild.construct && args instanceof PickleTuple) return rebuild.construct(args.items, where);
  throw bad(
    where,
    `a tensor is made by ${withArticle(rebuild)}`,
    'it must be one of the functions that rebuild tensors',
  );
}

const unread =
  (what: string): PickleConstructor =>
  () =>
    new UnreadTensor(what);

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
      ...Object.keys(UNREAD_STORAGES).map((name): [string] => [`torch.${name}`]),
      ...[...Object.keys(TORCH_DTYPES).map((name) => `torch.${name}`), ...INERT].map((name): [string] => [name]),
      ['torch.storage.UntypedStorage'],
      ['torch._utils._rebuild_tensor_v2', rebuildTensor],
      ['torch._utils._rebuild_tensor_v3', rebuildTyped],
      ['torch._tensor._rebuild_from_type_v2', rebuildFromType],
      ['torch._utils._rebuild_sparse_tensor', unread('a sparse tensor')],
      ['torch._utils._rebuild_qtensor', unread('a quantised tensor')],
      ['torch._utils._rebuild_meta_tensor_no_storage', unread('a meta tensor, which has no values,')],
      ['torch._utils._rebuild_nested_tensor', unread('a nested tensor')],
      ['torch._utils._rebuild_wrapper_subclass', unread('a tensor inside another')],
      ['torch._utils._rebuild_device_tensor_from_numpy', unread('a tensor kept as a NumPy array')],
      ['torch.serialization._get_layout', ([layout]) => layout ?? null],
      ['torch._utils._rebuild_parameter', rebuildParameter],
      ['torch._utils._rebuild_parameter_with_state', rebuildParameter],
      ['collections.OrderedDict', orderedDict],
      ['argparse.Namespace', () => new PickleObject('argparse.Namespace')],
      ['torch.Size', (args, where) => new PickleTuple(sizes(args[0], where, 'torch.Size'))],
      ['torch.device', () => new Opaque('torch.device')],
    ] as [string, PickleConstructor?][]
  ).map(([name, construct]) => [name, new PickleGlobal(name, construct)]),
);

/**
 * A persistent id: `('storage', storage type, key, location, element count)`, in the legacy format with a view of another storage.
 * The location (cpu, cuda:0) is moot.
 */
export function loadStorage(id: PickleValue, where: string): StorageRef {
  const [tag, type, key, , count, view] = id instanceof PickleTuple ? id.items : [];
  if (tag === 'module') {
    const fix = "save the weights only: torch.save(model.state_dict(), 'weights.pt')";
    const why = 'a module is code, and only tensors are read';
    throw new RuntimeError({ code: 'unsupported', where, what: 'it holds a whole module', why, fix });
  }
  if (view !== undefined && view !== null) {
    const fix = 'load and save it again with PyTorch 1.0 or newer';
    const why = 'PyTorch before 0.4 wrote such';
    throw new RuntimeError({ code: 'unsupported', where, what: 'a storage is a view of another', why, fix });
  }
  const name = type instanceof PickleGlobal ? type.name.replace(/^torch\./, '') : '';
  const isKnown = name === 'storage.UntypedStorage' || Object.hasOwn({ ...STORAGE_DTYPES, ...UNREAD_STORAGES }, name);
  if (tag !== 'storage' || !isKnown || typeof key !== 'string' || !isSize(count)) {
    throw bad(where, 'a persistent id is malformed', "it must be ('storage', type, key, location, count)");
  }
  if (key.length > 256)
    throw bad(where, `the storage key ${quote(key, 40)} is too long`, 'at most 256 characters are allowed');
  return new StorageRef(key, STORAGE_DTYPES[name], count, UNREAD_STORAGES[name]);
}
