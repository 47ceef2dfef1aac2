/** The parameters of a model, by tracing alone. */
import { defaultEntries, traceEntry } from '../compiler/dsl/model.ts';
import type { ParamSpec } from '../compiler/emit/artefact.ts';
import { declare, type Data } from '../compiler/emit/declare.ts';
import { guard, type LoadedModel } from '../compiler/frontend/index.ts';

/** Those of its usual entries, and the values of those that it computes, by `init.<name>`. */
export function paramsOf(loaded: LoadedModel): { readonly params: ParamSpec[]; readonly data: Data } {
  const { model } = loaded;
  const data: Data = new Map();
  const traced = guard(loaded, () => defaultEntries(model).map((entry) => traceEntry(model, entry, { batch: 1 })));
  const declared = traced.flatMap(({ params }) => params);
  const params = declare(declared, data, model);
  return { params, data };
}
