/** Everything that `ditc build` writes: the artefact, and what there is to read about it. */
import { artefactFiles, type Files } from '../compiler/emit/write.ts';
import { pipeline } from '../compiler/pipeline.ts';
import { reportHtml } from '../compiler/report/html.ts';
import { recordText } from '../compiler/report/record.ts';
import { ratesOf } from '../compiler/report/roofline.ts';
import type { DeviceSpec } from '../compiler/device.ts';
import { compilationRecord, type Compiled, type LoadedModel } from './model.ts';

/** Every file by its path inside the artefact's folder: the same bytes on every machine. */
export function buildFiles(
  loaded: LoadedModel,
  compiled: Compiled,
  device: DeviceSpec,
  { report = true }: { readonly report?: boolean } = {},
): Files {
  const { artefact, entries, graphs } = compiled;
  const records = compilationRecord(compiled);
  const beside = new Map([['remarks.json', recordText(records)]]);
  if (!report) return artefactFiles(artefact, graphs, beside);
  const passDocs = {
    trace: 'as the model file computes it',
    ...Object.fromEntries(pipeline.map((p) => [p.name, p.doc])),
  };
  const sources = Object.fromEntries(loaded.files.map((file) => [file, loaded.sourceText(file) ?? '']));
  const html = reportHtml({ artefact, entries, records, rates: ratesOf(device), passDocs, sources });
  return artefactFiles(artefact, graphs, beside.set('report.html', html));
}
