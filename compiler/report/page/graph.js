/** The picture of the graph: drawn once for an entry, dragged, zoomed, clicked. */
{
  const { make } = report;
  /** Below this a label cannot be read: then the picture is shown in part rather than whole. */
  const LEAST_SCALE = 0.62;
  const view = { x: 0, y: 0, scale: 1 };
  let picture;
  let layer;

  report.drawGraph = (which) => {
    const svg = report.byId('graph');
    picture = report.data.entries[report.entry][which];
    const arrow = make(
      'marker',
      {
        id: 'tip-arrow',
        viewBox: '0 0 8 8',
        refX: 7,
        refY: 4,
        markerWidth: 8,
        markerHeight: 8,
        markerUnits: 'userSpaceOnUse',
        orient: 'auto',
      },
      make('path', { d: 'M0 0L8 4L0 8z' }),
    );
    layer = make('g', {}, picture.groups.map(group), picture.edges.map(edge), picture.nodes.map(box));
    svg.replaceChildren(make('defs', {}, arrow), layer);
    report.markGraph();
    report.fitGraph();
  };

  const familyStyle = (dispatch) =>
    dispatch === undefined ? undefined : report.color(report.data.entries[report.entry].dispatches[dispatch].kernel);

  function group({ kind, title, dispatch, x, y, width, height }) {
    const frame = make('rect', { x, y, width, height, rx: 10 });
    // A repeat says how often on its frame, a kernel its name inside.
    const label =
      kind === 'repeat'
        ? [
            make('rect', { class: 'count', x: x + 10, y: y - 9, width: 14 + title.length * 8, height: 18, rx: 9 }),
            make('text', { x: x + 17, y: y + 4, 'font-size': 13 }, title),
          ]
        : [make('text', { x: x + 9, y: y + 15, 'font-size': 11 }, title)];
    const choose = dispatch === undefined ? {} : { onclick: () => report.choose(dispatch), 'data-dispatch': dispatch };
    return make(
      'g',
      { class: kind === 'repeat' ? 'repeat' : 'group', style: familyStyle(dispatch), ...choose },
      frame,
      ...label,
    );
  }

  function box({ kind, title, subtitle, dispatch, x, y, width, height }) {
    const isKernel = kind === 'kernel';
    const center = x + width / 2;
    const rect = (attributes) => make('rect', { x, y, width, height, rx: isKernel ? 8 : 6, ...attributes });
    const size = isKernel ? 13 : 11;
    const middle = y + height / 2;
    const at = isKernel ? { x: x + 16 } : { x: center, 'text-anchor': 'middle' };
    const top = subtitle && kind !== 'leaf' ? middle - (isKernel ? 5 : 2) : middle + 4;
    const labels = [make('text', { ...at, y: top, 'font-size': size, 'font-weight': isKernel ? 700 : 500 }, title)];
    if (subtitle && kind !== 'leaf')
      labels.push(
        make(
          'text',
          { ...at, y: middle + (isKernel ? 13 : 11), 'font-size': isKernel ? 11 : 9, class: 'sub' },
          subtitle,
        ),
      );
    const choose = dispatch === undefined ? {} : { onclick: () => report.choose(dispatch), 'data-dispatch': dispatch };
    const attributes = { class: `box ${kind}`, style: familyStyle(dispatch), ...choose };
    const side = isKernel ? [rect({ width: 5, class: 'side', rx: 2 })] : [];
    const wash = dispatch === undefined ? [] : [rect({ class: 'wash' })];
    return make('g', attributes, rect({}), ...wash, ...side, ...labels);
  }

  /** A smooth line through the points. */
  function edge({ points, from, to }) {
    let d = `M${points[0].join(' ')}`;
    for (let i = 1; i < points.length; i++) {
      const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
      const half = (y0 + y1) / 2;
      d += `C${x0} ${half} ${x1} ${half} ${x1} ${y1}`;
    }
    return make('path', { class: 'edge', d, 'marker-end': 'url(#tip-arrow)', 'data-from': from, 'data-to': to });
  }

  /** The kernel chosen: itself, or the round of its repeat that is drawn. */
  report.markGraph = () => {
    const kernel = report.chosen();
    const isChosen = (dispatch) =>
      dispatch !== undefined && report.data.entries[report.entry].dispatches[dispatch].kernel === kernel;
    for (const shown of layer.querySelectorAll('[data-dispatch]'))
      shown.classList.toggle('on', isChosen(Number(shown.dataset.dispatch)));
    for (const line of layer.querySelectorAll('.edge')) {
      const ends = [line.dataset.from, line.dataset.to].filter((end) => end !== undefined);
      line.classList.toggle(
        'on',
        ends.some((end) => isChosen(Number(end))),
      );
    }
  };

  const apply = () => layer.setAttribute('transform', `translate(${view.x} ${view.y}) scale(${view.scale})`);

  /** All of it, or what can be read: then around the kernel chosen. */
  report.fitGraph = (whole = false) => {
    const { clientWidth, clientHeight } = report.byId('graph');
    const fit = Math.min(clientWidth / picture.width, clientHeight / picture.height, 1.15);
    view.scale = whole ? fit : Math.max(fit, Math.min(LEAST_SCALE, 1));
    const chosen = layer.querySelector('.on[data-dispatch]')?.getBBox();
    const along = (size, length, from, extent) => {
      const all = length * view.scale;
      if (all <= size) return (size - all) / 2;
      const wanted = size / 2 - (from + extent / 2) * view.scale;
      return Math.min(0, Math.max(size - all, chosen ? wanted : 0));
    };
    view.x = along(clientWidth, picture.width, chosen?.x ?? 0, chosen?.width ?? 0);
    view.y = along(clientHeight, picture.height, chosen?.y ?? 0, chosen?.height ?? 0);
    apply();
  };

  report.zoomGraph = (factor, x, y) => {
    const { clientWidth, clientHeight } = report.byId('graph');
    const [cx, cy] = [x ?? clientWidth / 2, y ?? clientHeight / 2];
    const scale = Math.min(4, Math.max(0.05, view.scale * factor));
    view.x = cx - ((cx - view.x) * scale) / view.scale;
    view.y = cy - ((cy - view.y) * scale) / view.scale;
    view.scale = scale;
    apply();
  };

  report.listenToGraph = () => {
    const svg = report.byId('graph');
    svg.addEventListener(
      'wheel',
      (event) => {
        // The page scrolls over the picture; with a key, or by pinching, the picture zooms.
        if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
        event.preventDefault();
        const { left, top } = svg.getBoundingClientRect();
        report.zoomGraph(Math.exp(-(event.deltaY || event.deltaX) / 300), event.clientX - left, event.clientY - top);
      },
      { passive: false },
    );
    let grip;
    svg.addEventListener('pointerdown', (event) => {
      grip = { x: event.clientX - view.x, y: event.clientY - view.y };
    });
    addEventListener('pointermove', (event) => {
      if (!grip) return;
      svg.classList.add('dragging');
      view.x = event.clientX - grip.x;
      view.y = event.clientY - grip.y;
      apply();
    });
    addEventListener('pointerup', () => {
      grip = undefined;
      svg.classList.remove('dragging');
    });
    svg.addEventListener('dblclick', () => report.fitGraph());
  };
}
