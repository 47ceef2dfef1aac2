/** Which tiles a product is multiplied in on matrix units: those of fewest loads among those that it fills, as long as they occupy a GPU. */
import { sizeOf, type Node } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import type { Tile } from '../../fusion/group.ts';
import type { FragmentShape } from '../fragments.ts';

/**
 * `down` × `across` subgroups multiply `rows` × `columns` fragments each, from operand tiles in workgroup memory that hold `depth`
 * steps of k; the next tiles are already on their way in registers.
 */
export interface FragmentProductPlan extends FragmentShape {
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** Elements of a subgroup's block, subgroups, and steps of k of a tile. */
interface Layout {
  readonly height: number;
  readonly width: number;
  readonly down: number;
  readonly across: number;
  readonly depth: number;
}

/** The larger ones read less of workgroup memory and of buffers. */
const LAYOUTS: readonly Layout[] = [
  { height: 64, width: 64, down: 2, across: 2, depth: 32 },
  { height: 64, width: 64, down: 2, across: 1, depth: 32 },
  { height: 32, width: 64, down: 2, across: 2, depth: 32 },
  { height: 32, width: 64, down: 2, across: 1, depth: 64 },
  { height: 32, width: 64, down: 2, across: 1, depth: 32 },
];

/**
 * For narrow products, and where lanes are few: they read workgroup memory more than matrix units can wait for. One subgroup with a block
 * as large as its registers are comes before two that share the tile.
 */
const SMALL_LAYOUTS: readonly Layout[] = [
  { height: 32, width: 32, down: 2, across: 2, depth: 32 },
  { height: 64, width: 32, down: 1, across: 1, depth: 32 },
  { height: 32, width: 64, down: 1, across: 1, depth: 32 },
  { height: 32, width: 32, down: 2, across: 1, depth: 32 },
  { height: 16, width: 32, down: 2, across: 2, depth: 32 },
];

/** For a few rows of very many columns, and the other way round: most of what they multiply is padding. */
const THIN_LAYOUTS: readonly Layout[] = [
  { height: 16, width: 64, down: 1, across: 2, depth: 32 },
  { height: 64, width: 16, down: 2, across: 1, depth: 32 },
];

/** Multiply-adds for one that counts, at most: matrix units do so many and more in the time that others take to load operands. */
const MOST_PADDING = 8;

const LEAST_DEPTH = 32;
/** Tiles of more steps than that are for products of so many: drivers write out loops of fewer rounds, and all that is in them. */
const DEEP_TILES = 16;

/** Sums that a lane has registers for. */
const MOST_SUMS = 128;

/** Workgroups that keep most GPUs busy: two for each of some thirty cores. */
const ENOUGH_WORKGROUPS = 64;

export const tileOf = ({ down, across, rows, columns, m, n }: FragmentProductPlan): Tile => ({
  rows: down * rows * m,
  columns: across * columns * n,
});

/** All layouts in fragments of a shape. */
export const layoutsIn = (shape: FragmentShape): FragmentProductPlan[] =>
  plansIn([...LAYOUTS, ...SMALL_LAYOUTS, ...THIN_LAYOUTS], shape);

/** The plan of a product in fragments of a shape, of those that `isRight` lets pass; undefined where it fills no tile. */
export function layoutOf(
  product: Node,
  shape: FragmentShape,
  device: DeviceSpec,
  isRight: (plan: FragmentProductPlan) => boolean,
): FragmentProductPlan | undefined {
  const room = new Room(product, device.steady ?? false);
  const among = (layouts: readonly Layout[]) => {
    const plans = plansIn(layouts, shape).filter((plan) => room.isFilled(plan) && isRight(plan));
    const busy = plans.find((plan) => room.isBusy(plan));
    return busy ?? smallest(plans);
  };
  const isThin = (plan: FragmentProductPlan) => room.isFew(plan) && room.isBusy(plan) && isRight(plan);
  return among(LAYOUTS) ?? among(SMALL_LAYOUTS) ?? plansIn(THIN_LAYOUTS, shape).find(isThin);
}

/** The layouts in fragments of a shape: those of whole ones, for which lanes have registers. */
const plansIn = (layouts: readonly Layout[], shape: FragmentShape): FragmentProductPlan[] =>
  layouts.flatMap(({ height, width, ...rest }) => {
    const isWhole = height % shape.m === 0 && width % shape.n === 0 && height * width <= MOST_SUMS * shape.lanes;
    const [rows, columns] = [height / shape.m, width / shape.n];
    return isWhole ? [{ ...shape, ...rest, rows, columns }] : [];
  });

/** The first of those of the smallest tiles. */
function smallest(plans: readonly FragmentProductPlan[]): FragmentProductPlan | undefined {
  const area = (plan: FragmentProductPlan) => tileOf(plan).rows * tileOf(plan).columns;
  const least = Math.min(...plans.map(area));
  return plans.find((plan) => area(plan) === least);
}

/** What a product fills. Of a `steady` device its rows decide nothing: they may be those of the whole batch. */
class Room {
  private readonly m: number;
  private readonly n: number;
  private readonly k: number;
  private readonly batch: number;

  constructor(
    { inputs, type: { shape } }: Node,
    private readonly steady: boolean,
  ) {
    [this.m, this.n] = shape.slice(-2);
    this.k = inputs[0].type.shape.at(-1)!;
    this.batch = sizeOf(shape.slice(0, -2));
  }

  isFilled(plan: FragmentProductPlan): boolean {
    const { rows, columns } = tileOf(plan);
    const { depth } = plan;
    const isDeep = depth === LEAST_DEPTH || (this.k % depth === 0 && this.k >= DEEP_TILES * depth);
    return (this.steady || this.m >= rows) && this.n >= columns && this.k >= depth && isDeep;
  }

  /** Whether workgroups are enough to occupy a GPU. */
  isBusy(plan: FragmentProductPlan): boolean {
    const { rows, columns } = tileOf(plan);
    const workgroups = this.batch * Math.ceil(this.m / rows) * Math.ceil(this.n / columns);
    return !this.steady && workgroups >= ENOUGH_WORKGROUPS;
  }

  /** Whether what it multiplies besides in such tiles is worth it. */
  isFew(plan: FragmentProductPlan): boolean {
    const { rows, columns } = tileOf(plan);
    const padded = Math.ceil(this.m / rows) * rows * Math.ceil(this.n / columns) * columns;
    return padded <= MOST_PADDING * this.m * this.n && this.k >= plan.depth;
  }
}
