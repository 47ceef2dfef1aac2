/** Passes over graphs that prepare fusion: what they do hangs on the plans that contractions will have, given ones too. */
import type { Planner } from '../plans/registry.ts';
import type { PassContext } from '../rewrite/pass.ts';

export type PlanningContext = PassContext & Planner;
