/** An ONNX file's network: read, and checked as far as that needs no op. */
import { quote, RuntimeError } from '../error.ts';
import { readModel, type GraphProto, type ModelProto } from './messages.ts';
import { WireError } from './wire.ts';

export interface OnnxFile extends ModelProto {
  readonly graph: GraphProto;
}

/** Whether bytes may begin an ONNX file: the version of its format, and then a field that can come next. */
export const looksOnnx = (head: Uint8Array): boolean =>
  head.length > 2 && head[0] === 0x08 && head[1] >= 1 && head[1] < 0x40 && FIELDS.includes(head[2]);
/** Producer's name, its version, domain, model's version, text, graph, op sets. */
const FIELDS = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42];

/** @throws RuntimeError naming the file at `where`. */
export function parseOnnx(bytes: Uint8Array, where: string): OnnxFile {
  const { graph, ...model } = modelOf(bytes, where);
  const fail = (what: string, why?: string, fix = 'export the network again') =>
    new RuntimeError({ code: 'bad-format', where, what, why, fix });
  if (!graph)
    throw fail('it holds no network', 'the message of the model has no graph', 'check that it is an ONNX file');
  if (!model.opsetImport.length) throw fail('it does not say which ops it is made of', 'opset_import is empty');
  if (graph.sparseInitializer.length) throw fail('sparse weights are not read', undefined, 'export them as dense ones');
  const seen = new Set<string>();
  for (const { name } of graph.initializer) {
    if (!name || seen.has(name)) throw fail(`a weight is ${name ? `there twice: ${quote(name)}` : 'without a name'}`);
    seen.add(name);
  }
  return { ...model, graph };
}

function modelOf(bytes: Uint8Array, where: string): ModelProto {
  try {
    return readModel(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new RuntimeError({
      code: 'bad-format',
      where,
      what: 'it is no ONNX file, or damaged',
      why: `at byte ${error.offset}: ${error.message}`,
      fix: 'download or export it again',
    });
  }
}
