# SPDX-License-Identifier: Apache-2.0
"""The style of the page: light and dark, readable on paper, no font from anywhere."""

from __future__ import annotations

COLOURS = """
:root { color-scheme: light dark;
  --paper: #fbfbf9; --card: #ffffff; --ink: #1d2126; --soft: #5b636e; --rule: #dcdfe3; --grid: #e8eaed;
  --good: #14724f; --good-paper: #e2f3eb; --bad: #a82e29; --bad-paper: #fbe9e7;
  --managed: #2a8f68; --connected: #4a86c5; --onboarding: #e0a83a; --offline: #a9b0b9; --failed: #c8473f;
  --intended: #1d2126; --started: #3b78b8; --generator: #5b4b9a;
  --side-client: #4a86c5; --side-proxy: #e0a83a; --side-server: #c8473f; --side-unknown: #a9b0b9;
  --step-tcp: #6b7280; --step-tls: #2f6fb3; --step-cacerts: #7c5cc4; --step-enrol: #b0508f;
  --step-register: #a8482f; --step-contact: #4a7d2c;
  --step-websocket: #0f8b8d; --step-settings: #c78a12; --step-command: #8a5a2b; --step-managed: #1d2126; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #16191d; --card: #1d2126; --ink: #e6e8eb; --soft: #9aa3ae; --rule: #343a42; --grid: #2a2f36;
  --good: #6fd0a6; --good-paper: #17382b; --bad: #ff968d; --bad-paper: #43201e;
  --managed: #3aa57b; --connected: #5a9be0; --onboarding: #d9a441; --offline: #6d7682; --failed: #e0655d;
  --intended: #e6e8eb; --started: #6aaaf0; --generator: #a897ee;
  --side-client: #5a9be0; --side-proxy: #d9a441; --side-server: #e0655d; --side-unknown: #6d7682;
  --step-tcp: #9aa3ae; --step-tls: #6aaaf0; --step-cacerts: #ae93f0; --step-enrol: #e388c2;
  --step-register: #e8957b; --step-contact: #93c973;
  --step-websocket: #4cc4c6; --step-settings: #e6b450; --step-command: #c89466; --step-managed: #e6e8eb; } }
"""
"""By name; dark where the reader wants it so."""

CHART_STYLE = """
.grid { stroke: var(--grid); } .base, .notch { stroke: var(--soft); }
.tick, .axis, .mark-name { font: 12px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
.mark { stroke: var(--soft); stroke-dasharray: 2 3; } .mark-name { fill: var(--ink); paint-order: stroke;
  stroke: var(--card); stroke-width: 3px; }
.line, .heavy { fill: none; stroke-width: 2; stroke-linejoin: round; } .heavy { stroke-width: 3.5; }
.layer { stroke: var(--card); stroke-width: .5; }
"""
"""Of what is inside of charts."""

STYLE = (
    COLOURS
    + CHART_STYLE
    + """* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 28px 20px 64px; }
p { margin: 0 0 8px; }
.over { color: var(--soft); font-size: 13px; }
h1 { margin: 0 0 4px; font-size: 30px; line-height: 1.2; overflow-wrap: anywhere; }
header p:last-child { color: var(--soft); overflow-wrap: anywhere; }
h2 { margin: 0 0 12px; font-size: 19px; }
section { margin-top: 20px; padding: 20px; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
.verdict { display: inline-block; padding: 2px 10px; border-radius: 99px; font-size: 14px; font-weight: 600;
  vertical-align: middle; white-space: nowrap; }
.good { color: var(--good); background: var(--good-paper); }
.bad { color: var(--bad); background: var(--bad-paper); }
aside { margin-top: 12px; padding: 10px 14px; border: 1px solid var(--rule); border-left: 4px solid var(--soft);
  border-radius: 4px; overflow-wrap: anywhere; }
aside.bad { color: var(--ink); border-left-color: var(--bad); }
aside p { margin: 0; font-weight: 600; }
aside ul { margin: 4px 0 0; padding-left: 20px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 20px 0 0; }
.figures div { padding: 14px 16px; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; overflow-wrap: anywhere; }
.figures dd { color: var(--soft); font-size: 13px; }
.figures strong { display: block; color: var(--ink); font-size: 27px; line-height: 1.25; }
.about div { display: grid; grid-template-columns: 140px 1fr; gap: 12px; padding: 4px 0; }
.about { margin: 0; }
figure { margin: 0 0 12px; }
figcaption { color: var(--soft); font-size: 13px; }
figcaption strong { color: var(--ink); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 8px 20px; }
.scroll { overflow-x: auto; }
.scroll > .chart { min-width: 640px; }
.chart { display: block; width: 100%; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 6px; padding: 0; list-style: none;
  font-size: 13px; }
.legend svg { margin-right: 6px; fill: none; vertical-align: -1px; }
table { width: 100%; border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px 6px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-size: 13px; font-weight: 500; }
tbody tr:last-child td { border-bottom: 0; }
td { max-width: 340px; overflow-wrap: anywhere; }
td:first-child, .short { white-space: nowrap; } .long { min-width: 12em; }
.number { text-align: right; white-space: nowrap; }
@media print { section, .figures div { break-inside: avoid; } body { background: none; } }
"""
)
