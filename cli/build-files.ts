/** Everything that `ditc build` writes: the artefact, and what there is to read about it. */
import type { Artefact } from '../compiler/emit/artefact.ts';
import { artefactFiles, type Files } from '../compiler/emit/write.ts';
import { pipeline } from '../compiler/pipeline.ts';
import { reportHtml } from '../compiler/report/html.ts';
import { recordText } from '../compiler/report/record.ts';
import { ratesOf } from '../compiler/report/roofline.ts';
import type { DeviceSpec } from '../compiler/device.ts';
import { compilationRecord, compiledOnce, type Compiled, type CompileOptions, type LoadedModel } from './model.ts';
import { phase } from './progress.ts';

/** What `ditc build` writes, and says. */
export interface Built extends Pick<Compiled, 'ops'> {
  readonly artefact: Pick<Artefact, 'manifest'>;
  readonly files: Files;
}

/** Builds a model, or finds what it built of it before. */
export function build(loaded: LoadedModel, { report }: { readonly report: boolean }, options: CompileOptions): Built {
  const { terminal, device } = options;
  // The report shows the files of the model.
  const texts = report && loaded.files.map((file) => [file, loaded.sourceText(file)]);
  return compiledOnce('build', loaded, options, texts, (compiled) => {
    const files = phase(terminal, report ? 'report' : 'files', () => buildFiles(loaded, compiled, device, { report }));
    return { files, artefact: { manifest: compiled.artefact.manifest }, ops: compiled.ops };
  });
}

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
