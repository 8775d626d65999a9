// Loads the page again when its runs have come further; waits while somebody looks at an earlier moment.
const { state } = document.currentScript.dataset;
const following = setInterval(async () => {
  const looking = [...document.querySelectorAll(".moments input")].some((slider) => slider.value !== slider.max);
  if (looking) return;
  try {
    const answer = await fetch("/", { headers: { "If-None-Match": `"${state}"` } });
    if (answer.status === 200) location.reload();
  } catch {
    clearInterval(following);
    document.getElementById("live").textContent = "The server of this page has stopped, and the page stays as it was. A finished run has report.html in its folder.";
  }
}, 3000);
