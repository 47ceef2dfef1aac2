/** What `index.d.ts` of a web build promises is what the runtime in it has: the types are held by the check of the project's own. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type * as Page from '../../library/web/page/index.d.ts';
import type * as Runtime from '../../runtime/web/index.ts';

/** What is promised can be given, and what may be given is taken. */
type Keeps<Promised, Real extends Promised> = Real;
type Takes<Real, Given extends Real> = Given;
type Model = Awaited<ReturnType<typeof Page.load>>;

export type Kept = [
  Keeps<Page.LoadProgress, Runtime.LoadProgress>,
  Takes<Runtime.LoadOptions, Page.LoadOptions>,
  Takes<Runtime.SampleOptions, Page.SampleOptions>,
  Takes<Runtime.TrainOptions, Page.TrainOptions>,
  Keeps<Omit<Model, 'run'>, Omit<Runtime.PageModel, 'run'>>,
];

/** Keys are compared too: one that only one side has is a promise that is not kept, or a wish that nobody can make. */
type Same<A, B> = [keyof A] extends [keyof B] ? ([keyof B] extends [keyof A] ? true : false) : false;
const same: [
  Same<Page.LoadProgress, Runtime.LoadProgress>,
  Same<Page.LoadOptions, Runtime.LoadOptions>,
  Same<Page.SampleOptions, Runtime.SampleOptions>,
  Same<Page.TrainOptions, Runtime.TrainOptions>,
] = [true, true, true, true];

it('the types of a page have the options of its runtime, each documented', () => {
  expect(same).not.toContain(false);
  const text = readFileSync('library/web/page/index.d.ts', 'utf8');
  const docs = readFileSync('docs/web.md', 'utf8');
  const options = /interface LoadOptions \{([^]*?)\n\}/.exec(text)![1];
  for (const [, name] of options.matchAll(/readonly (\w+)\?:/g)) expect(docs).toContain(`\`${name}\``);
});
