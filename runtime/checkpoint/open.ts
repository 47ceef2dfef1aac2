/** Opens a checkpoint of any known format, told by its first bytes: names lie (`.ckpt`, `.bin`), magic numbers do not. */
import { RuntimeError } from '../error.ts';
import { looksOnnx } from '../onnx/parse.ts';
import { openOnnx, type OpenBeside } from './onnx.ts';
import { openSafetensors } from './safetensors.ts';
import type { ByteSource, TensorFile } from './source.ts';
import { openTorch } from './torch.ts';
import { LEGACY_TORCH, openLegacyTorch } from './torch-legacy.ts';
import type { TorchOptions } from './torch-weights.ts';

/** Those of {@link TorchOptions} do not concern safetensors and ONNX, which have no parts. */
export interface OpenOptions extends TorchOptions {
  /** Opens what an ONNX file keeps in files beside it. */
  readonly beside?: OpenBeside;
}

/** Files that people pass by mistake, by their first bytes, and what to do with each. */
const LOOKALIKES: [magic: string, what: string, fix: string][] = [
  [
    '\x93NUMPY',
    'it is a NumPy array',
    'a .npy holds one unnamed array: pass it as an input, or save the weights as safetensors',
  ],
  ['\x80', 'it is a bare pickle', 'save the weights with torch.save, or as safetensors'],
  ['\x89HDF', 'it is an HDF5 file', 'convert it to safetensors'],
  ['GGUF', 'it is a GGUF file', 'convert it to safetensors'],
  ['\x1f\x8b', 'it is gzip-compressed', 'unpack it first: gunzip FILE'],
  ['version https://git-lfs', 'it is a Git LFS pointer, not the file itself', 'fetch the file: git lfs pull'],
  [
    '{',
    'it is JSON',
    'to open the shards of an index (FILE.safetensors.index.json), give its path or that of its folder',
  ],
  ['<', 'it is a web page or XML', 'the download went wrong: the server sent a page instead of the file'],
];

/** The format of the file that begins with `bytes`. */
function sniff(bytes: Uint8Array, head: string): 'zip' | 'legacy' | 'safetensors' | 'onnx' | undefined {
  if (LEGACY_TORCH.test(head)) return 'legacy';
  if (head.startsWith('PK\x03\x04') || head.startsWith('PK\x05\x06')) return 'zip';
  // A length below 2^32 and the header's opening brace.
  if (head.length >= 9 && head.slice(4, 8) === '\0\0\0\0' && head[8] === '{') return 'safetensors';
  if (looksOnnx(bytes)) return 'onnx';
  return undefined;
}

/**
 * Opens a `.pt`, safetensors or ONNX checkpoint. On success the file owns `source` and closes it; on failure `source` stays
 * the caller's to close.
 * @throws RuntimeError `unsupported` with what the file looks like when it is neither; else what its reader throws.
 */
export async function openCheckpoint(source: ByteSource, options: OpenOptions = {}): Promise<TensorFile> {
  const bytes = await source.read(0, Math.min(source.size, 24));
  const head = String.fromCharCode(...bytes);
  const format = sniff(bytes, head);
  if (format === 'zip') return openTorch(source, options);
  if (format === 'legacy') return openLegacyTorch(source, options);
  if (format === 'safetensors') return openSafetensors(source);
  if (format === 'onnx') return openOnnx(source, options.beside);
  const found = LOOKALIKES.find(([magic]) => head.startsWith(magic));
  const begins = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const unknown = source.size === 0 ? 'it is empty' : `it begins with ${begins}, which is neither`;
  throw new RuntimeError({
    code: 'unsupported',
    where: source.name,
    what: 'it is not a checkpoint that can be read',
    why: `${found?.[1] ?? unknown} (PyTorch .pt, safetensors and ONNX are read)`,
    fix: found?.[2] ?? 'check the path, or download the file again',
  });
}
