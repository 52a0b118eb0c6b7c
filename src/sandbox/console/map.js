// The map (live). This stand-in knows no streets and no cars: it is a sheet of paper around the city's centre, for the pins.
//
//   createMap({canvas, onClick, onView}) -> {setStreets, update, setPins, select, resize, stats, centre}
//     onClick({lat, lon}, hit)   hit: {kind, id} under the pointer, or null. Enter on the canvas is a click at the centre
//     onView({lat, lon, metresPerPixel, width, height})   after every pan and zoom
//     setPins({pickup, dropoff}) each {lat, lon} or null
//     select({kind, id} | null)  what is lit
//     centre()                   {lat, lon}
// Colours are the CSS variables --map-… of style.css; the document's event `theme` says that they have changed.

const METRES_PER_DEGREE = 111_195;

export function createMap({ canvas, onClick, onView }) {
  const view = { lat: 30, lon: -40, metresPerPixel: 8 };
  let pins = { pickup: null, dropoff: null };
  const perLon = () => METRES_PER_DEGREE * Math.cos((view.lat * Math.PI) / 180);
  const size = () => ({ width: canvas.clientWidth, height: canvas.clientHeight });
  const toPlace = (x, y) => ({
    lat: view.lat - ((y - size().height / 2) * view.metresPerPixel) / METRES_PER_DEGREE,
    lon: view.lon + ((x - size().width / 2) * view.metresPerPixel) / perLon(),
  });
  const toPixel = ({ lat, lon }) => ({
    x: size().width / 2 + ((lon - view.lon) * perLon()) / view.metresPerPixel,
    y: size().height / 2 - ((lat - view.lat) * METRES_PER_DEGREE) / view.metresPerPixel,
  });
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

  function draw() {
    const { width, height } = size();
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const c = canvas.getContext("2d");
    c.scale(devicePixelRatio, devicePixelRatio);
    c.fillStyle = colour("--map-ground");
    c.fillRect(0, 0, width, height);
    for (const [name, tint] of [["pickup", "--map-pickup"], ["dropoff", "--map-dropoff"]]) {
      if (!pins[name]) continue;
      const { x, y } = toPixel(pins[name]);
      c.fillStyle = colour(tint);
      c.beginPath();
      c.arc(x, y, 7, 0, 2 * Math.PI);
      c.fill();
    }
  }
  const moved = () => (draw(), onView?.({ ...view, ...size() }));

  canvas.addEventListener("click", (event) => onClick(toPlace(event.offsetX, event.offsetY), null));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] }[event.key];
    if (step) {
      const { width, height } = size();
      Object.assign(view, toPlace(width / 2 + step[0], height / 2 + step[1]));
      moved();
    } else if (event.key === "Enter") onClick({ lat: view.lat, lon: view.lon }, null);
    else return;
    event.preventDefault();
  });
  document.addEventListener("theme", draw);
  return {
    setStreets() {},
    update() {},
    setPins: (next) => ((pins = next), draw()),
    select() {},
    resize: moved,
    stats: () => ({}),
    centre: () => ({ lat: view.lat, lon: view.lon }),
  };
}
