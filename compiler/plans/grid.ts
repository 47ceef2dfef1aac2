/** Workgroups in a line, and how a grid of three dimensions holds them. */

/** Most workgroups along one dimension of a dispatch: WebGPU's limit everywhere. */
export const MAX_GRID = 65535;

/** A line of workgroups in two dimensions where it is long. Whether a device has such a grid, `badLine` (family.ts) says. */
export const foldGrid = (workgroups: number): readonly [number, number, number] =>
  workgroups <= MAX_GRID ? [workgroups, 1, 1] : [MAX_GRID, Math.ceil(workgroups / MAX_GRID), 1];
