/** The messages of an ONNX file (onnx.proto of ONNX 1.23) that a network is read from. */
import { bytes, double, float, many, message, one, readMessage, text, whole, type Kind } from './wire.ts';

export interface TensorProto {
  name: string;
  dims: number[];
  /** One of ONNX's numbers for types: tensor.ts. */
  dataType: number;
  rawData?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: number[];
  doubleData?: number[];
  uint64Data?: number[];
  externalData?: EntryProto[];
  /** 1: the values lie in another file. */
  dataLocation?: number;
}

export interface EntryProto {
  key: string;
  value: string;
}

export interface AttributeProto {
  name: string;
  f?: number;
  i?: number;
  s?: Uint8Array;
  t?: TensorProto;
  g?: GraphProto;
  floats?: number[];
  ints?: number[];
  strings?: Uint8Array[];
  /** Within a function: the attribute of its call that this one takes its value from. */
  refAttrName?: string;
}

export interface NodeProto {
  name: string;
  opType: string;
  domain: string;
  input: string[];
  output: string[];
  attribute: AttributeProto[];
}

interface DimensionProto {
  dimValue?: number;
  dimParam?: string;
}

export interface ValueInfoProto {
  name: string;
  type?: { tensorType?: { elemType?: number; shape?: { dim: DimensionProto[] } } };
}

export interface GraphProto {
  name: string;
  node: NodeProto[];
  initializer: TensorProto[];
  sparseInitializer: object[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
}

export interface OperatorSetProto {
  domain: string;
  version: number;
}

export interface FunctionProto {
  name: string;
  domain: string;
  input: string[];
  output: string[];
  node: NodeProto[];
  opsetImport: OperatorSetProto[];
  /** Names of attributes that a call may give. */
  attribute: string[];
  /** Attributes with a value for calls that give none. */
  attributeProto: AttributeProto[];
}

export interface ModelProto {
  irVersion: number;
  producerName: string;
  opsetImport: OperatorSetProto[];
  graph?: GraphProto;
  functions: FunctionProto[];
}

const entry = message<EntryProto>(
  () => ({ key: '', value: '' }),
  () => ({ 1: one('key', text), 2: one('value', text) }),
);

const tensor = message<TensorProto>(
  () => ({ name: '', dims: [], dataType: 0 }),
  () => ({
    1: many('dims', whole),
    2: one('dataType', whole),
    4: many('floatData', float),
    5: many('int32Data', whole),
    7: many('int64Data', whole),
    8: one('name', text),
    9: one('rawData', bytes),
    10: many('doubleData', double),
    11: many('uint64Data', whole),
    13: many('externalData', entry),
    14: one('dataLocation', whole),
  }),
);

const attribute: Kind<AttributeProto> = message<AttributeProto>(
  () => ({ name: '' }),
  () => ({
    1: one('name', text),
    2: one('f', float),
    3: one('i', whole),
    4: one('s', bytes),
    5: one('t', tensor),
    6: one('g', graph),
    7: many('floats', float),
    8: many('ints', whole),
    9: many('strings', bytes),
    21: one('refAttrName', text),
  }),
);

const node: Kind<NodeProto> = message<NodeProto>(
  () => ({ name: '', opType: '', domain: '', input: [], output: [], attribute: [] }),
  () => ({
    1: many('input', text),
    2: many('output', text),
    3: one('name', text),
    4: one('opType', text),
    5: many('attribute', attribute),
    7: one('domain', text),
  }),
);

const dimension = message<DimensionProto>(
  () => ({}),
  () => ({ 1: one('dimValue', whole), 2: one('dimParam', text) }),
);
const shape = message<{ dim: DimensionProto[] }>(
  () => ({ dim: [] }),
  () => ({ 1: many('dim', dimension) }),
);
type TypeProto = NonNullable<ValueInfoProto['type']>;
const tensorType = message<NonNullable<TypeProto['tensorType']>>(
  () => ({}),
  () => ({ 1: one('elemType', whole), 2: one('shape', shape) }),
);
const type = message<TypeProto>(
  () => ({}),
  () => ({ 1: one('tensorType', tensorType) }),
);
const valueInfo = message<ValueInfoProto>(
  () => ({ name: '' }),
  () => ({ 1: one('name', text), 2: one('type', type) }),
);

const unread = message<object>(
  () => ({}),
  () => ({}),
);

const graph: Kind<GraphProto> = message<GraphProto>(
  () => ({ name: '', node: [], initializer: [], sparseInitializer: [], input: [], output: [] }),
  () => ({
    1: many('node', node),
    2: one('name', text),
    5: many('initializer', tensor),
    11: many('input', valueInfo),
    12: many('output', valueInfo),
    15: many('sparseInitializer', unread),
  }),
);

const operatorSet = message<OperatorSetProto>(
  () => ({ domain: '', version: 0 }),
  () => ({ 1: one('domain', text), 2: one('version', whole) }),
);

const func = message<FunctionProto>(
  () => ({ name: '', domain: '', input: [], output: [], node: [], opsetImport: [], attribute: [], attributeProto: [] }),
  () => ({
    1: one('name', text),
    4: many('input', text),
    5: many('output', text),
    6: many('attribute', text),
    7: many('node', node),
    9: many('opsetImport', operatorSet),
    10: one('domain', text),
    11: many('attributeProto', attribute),
  }),
);

/** The whole file. @throws WireError */
export const readModel = (from: Uint8Array): ModelProto =>
  readMessage<ModelProto>(from, () => ({ irVersion: 0, producerName: '', opsetImport: [], functions: [] }), {
    1: one('irVersion', whole),
    2: one('producerName', text),
    7: one('graph', graph),
    8: many('opsetImport', operatorSet),
    25: many('functions', func),
  });
