/** Everything that `ditc build` writes: the artefact, and what there is to read about it. */
import { artefactFiles } from '../compiler/emit/write.ts';
import { recordText } from '../compiler/report/record.ts';
import { compilationRecord, type Compiled } from './model.ts';

/** Every file by its path inside the artefact's folder: the same bytes on every machine. */
export function buildFiles(compiled: Compiled): Map<string, string | Uint8Array> {
  const files = artefactFiles(compiled.artefact, compiled.graphs);
  files.set('remarks.json', recordText(compilationRecord(compiled)));
  return files;
}
