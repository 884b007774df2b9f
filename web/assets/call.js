"use strict";

// Times in the reader's own zone.
for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime);
  if (!isNaN(at)) time.textContent = at.toLocaleString([], { dateStyle: "full", timeStyle: "short" });
}

const audio = document.getElementById("audio");
if (audio) {
  const lines = [...document.querySelectorAll(".line[data-second]")];
  const wrong = document.getElementById("wrong");
  document.querySelector(".controls").hidden = false;

  // A moment that is asked for before the player knows how long the recording is waits until it does.
  const jump = (second) => {
    const go = () => {
      audio.currentTime = second;
      audio.play().catch(() => {});
    };
    if (audio.readyState >= 1) return go();
    audio.addEventListener("loadedmetadata", go, { once: true });
    audio.load();
  };
  for (const line of lines) line.addEventListener("click", () => jump(Number(line.dataset.second)));

  for (const button of document.querySelectorAll("[data-skip]")) {
    button.addEventListener("click", () => {
      audio.currentTime = Math.max(0, audio.currentTime + Number(button.dataset.skip));
    });
  }
  const speeds = [...document.querySelectorAll("[data-speed]")];
  for (const button of speeds) {
    button.addEventListener("click", () => {
      audio.playbackRate = Number(button.dataset.speed);
      for (const other of speeds) other.setAttribute("aria-pressed", String(other === button));
    });
  }

  audio.addEventListener("timeupdate", () => {
    let now = null;
    for (const line of lines) if (Number(line.dataset.second) <= audio.currentTime + 0.25) now = line;
    for (const line of lines) line.classList.toggle("now", line === now);
  });

  // A player can't say why it can't play: the same address says it in a sentence.
  const explain = async () => {
    let why = "The recording can't be played. Try again in a minute.";
    try {
      const answer = await fetch(audio.getAttribute("src"), { headers: { Range: "bytes=0-0" } });
      if (answer.ok) why = "This browser can't play the recording.";
      else if ((answer.headers.get("Content-Type") || "").startsWith("text/plain")) why = await answer.text();
    } catch { /* the network is away: the sentence above says enough */ }
    wrong.textContent = why;
    wrong.hidden = false;
  };
  audio.addEventListener("error", explain);
  if (audio.error || audio.networkState === HTMLMediaElement.NETWORK_NO_SOURCE) explain(); // before this was read
}
