// The page's sliders, and the generators that it carries.
const DATA = JSON.parse(document.getElementById("data").textContent);
const numberOf = (value) => value.toLocaleString("en");

for (const box of document.querySelectorAll(".moments")) {
  const slider = box.querySelector("input"), output = box.querySelector("output");
  const density = box.querySelector(".density"), image = box.querySelector(".generated");
  const moments = DATA[box.dataset.run][density ? "densities" : "moments"];
  const show = () => {
    const { step, epoch, picture, svg } = moments[slider.value];
    output.textContent = `${numberOf(step)} steps` + (epoch === null ? "" : ` (epoch ${numberOf(epoch)})`);
    slider.setAttribute("aria-valuetext", output.textContent);
    if (density) density.innerHTML = svg;
    else { image.src = picture.uri; image.alt = picture.alt; }
  };
  slider.addEventListener("input", show);
  show();
}

const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const DRAWS = { normal, uniform: () => 2 * Math.random() - 1, unit_uniform: Math.random };
const LIMITS = { normal: [-Infinity, Infinity], uniform: [-1, 1], unit_uniform: [0, 1] };
const latentsFor = (net) => Float32Array.from({ length: net.latents }, DRAWS[net.distribution]);

// On the way from a to b: along the great circle for normal latents, straight for uniform ones.
function between(net, a, b, share) {
  if (net.distribution !== "normal") return a.map((value, i) => (1 - share) * value + share * b[i]);
  const dot = (u, v) => u.reduce((sum, value, i) => sum + value * v[i], 0);
  const angle = Math.max(Math.acos(Math.min(1, Math.max(-1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))))), 1e-6);
  return a.map((value, i) => (Math.sin((1 - share) * angle) * value + Math.sin(share * angle) * b[i]) / Math.sin(angle));
}

function paint(canvas, pixels, [height, width, channels]) {
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = Math.round(255 * pixels[p * channels + (channels === 3 ? c : 0)]);
    image.data[4 * p + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function playImages(box, net) {
  const canvas = box.querySelector("canvas"), sliders = [...box.querySelectorAll(".direction")];
  const walkButton = box.querySelector("[data-do=walk]");
  const label = () => (net.labels ? Number(box.querySelector(".labels input:checked").value) : -1);
  let base = latentsFor(net), walking = 0;
  const draw = () => {
    const [low, high] = LIMITS[net.distribution];
    const z = base.map((value, i) => {
      const moved = net.directions.reduce((sum, direction, d) => sum + direction[i] * sliders[d].value, value);
      return Math.min(high, Math.max(low, moved));
    });
    paint(canvas, net.draw(z, label()), net.shape);
    canvas.setAttribute("aria-label", net.labels ? `a sample that was asked for the label ${box.querySelector(".labels input:checked + span").textContent}` : "a sample of the generator");
  };
  const stop = () => { cancelAnimationFrame(walking); walking = 0; walkButton.setAttribute("aria-pressed", "false"); walkButton.textContent = "Walk"; };
  const walk = () => {
    let from = base, to = latentsFor(net), started = null;
    const frame = (now) => {
      started ??= now;
      const share = (now - started) / 2000;
      base = between(net, from, to, Math.min(share, 1));
      if (share >= 1) { from = to; to = latentsFor(net); started = now; }
      draw();
      walking = requestAnimationFrame(frame);
    };
    walking = requestAnimationFrame(frame);
    walkButton.setAttribute("aria-pressed", "true");
    walkButton.textContent = "Stop";
  };
  const actions = {
    random: () => { stop(); base = latentsFor(net); draw(); },
    walk: () => (walking ? stop() : walk()),
    centre: () => { for (const slider of sliders) slider.value = 0; draw(); },
  };
  for (const button of box.querySelectorAll("button")) button.addEventListener("click", actions[button.dataset.do]);
  box.addEventListener("input", draw);
  draw();
}

// Numbers of the 1-D generator: a histogram of 10,000 of them.
function playNumbers(box, net) {
  const chart = box.querySelector("svg"), bins = 60;
  const draw = () => {
    const numbers = Array.from({ length: 10000 }, () => net.draw(latentsFor(net), -1)[0]);
    const mean = numbers.reduce((a, b) => a + b) / numbers.length;
    const deviation = Math.sqrt(numbers.reduce((a, b) => a + (b - mean) ** 2, 0) / numbers.length);
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)], width = Math.max(high - low, 1e-6);
    const counts = Array(bins).fill(0);
    for (const value of numbers) counts[Math.min(bins - 1, Math.floor(((value - low) / width) * bins))]++;
    const most = Math.max(...counts);
    const bars = counts.map((count, i) => `<rect x="${20 + (i * 500) / bins}" y="${260 - (220 * count) / most}" width="${500 / bins - 1}" height="${(220 * count) / most}" fill="#E69F00"/>`);
    chart.innerHTML = `${bars.join("")}<text x="20" y="282">${low.toFixed(2)}</text><text x="520" y="282" text-anchor="end">${high.toFixed(2)}</text><text x="270" y="24" text-anchor="middle">10,000 numbers: mean ${mean.toFixed(3)}, standard deviation ${deviation.toFixed(3)}</text>`;
    chart.setAttribute("aria-label", `a histogram of 10,000 generated numbers, mean ${mean.toFixed(3)}, standard deviation ${deviation.toFixed(3)}`);
  };
  box.querySelector("[data-do=random]").addEventListener("click", draw);
  draw();
}

const NETS = {};
async function start(box) {
  const plan = DATA[box.dataset.run].net;
  const net = plan.deflated ? loadNet(plan, await inflated(plan)) : loadNet(plan), numbers = net.shape.length === 1;
  NETS[box.dataset.run] = net;
  box.hidden = false;
  (numbers ? playNumbers : playImages)(box, net);
  const worst = checkNet(net);
  box.querySelector(".checked").textContent = numbers
    ? `Checked in this browser: ${net.check.number} numbers differ from TensorFlow's by at most ${worst.toExponential(1)}.`
    : `Checked in this browser: over ${net.check.number} samples no pixel differs from TensorFlow's by more than ${worst} of 255 levels.`;
}
const STARTED = Promise.all([...document.querySelectorAll(".play")].map(start));
