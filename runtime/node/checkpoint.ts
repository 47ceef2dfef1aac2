/** Opens a checkpoint by its path. */
import { openCheckpoint } from '../checkpoint/open.ts';
import type { TensorFile } from '../checkpoint/source.ts';
import type { Part } from '../checkpoint/trained.ts';
import { openFile } from './file.ts';

/** `part` is which of the weights, of a file that has several. The caller closes it. @throws as `openCheckpoint`. */
export async function openCheckpointFile(path: string, part?: Part): Promise<TensorFile> {
  const source = await openFile(path);
  try {
    return await openCheckpoint(source, { prefer: part });
  } catch (error) {
    await source.close();
    throw error;
  }
}
