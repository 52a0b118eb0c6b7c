//! The SVG writer. Colors follow the reader's light or dark scheme; series differ by color and by shape or dash as well.

use std::fmt::Write;

use super::axis::Ruler;
use super::{Marks, Plot, Scale};
use crate::numbers;
use crate::outcome::Summary;

/// The size of the drawing, and the margins of the plot in it.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 108.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 84.0;

/// The height of the title, and of each line of the legend.
const TITLE: f64 = 40.0;
const LEGEND: f64 = 20.0;

/// About as wide as a letter, for wrapping labels.
const LETTER: f64 = 6.4;

/// Colors that most color-blind readers can tell apart, after Okabe and Ito (2008), with lighter ones for the dark scheme.
const STYLE: &str = "
svg { font: 12px system-ui, sans-serif; }
.back { fill: #ffffff; } text { fill: #1b1f24; } .soft { fill: #57606a; }
.grid { stroke: #d8dee4; } .axis { stroke: #57606a; } .whisker { stroke: #1b1f24; stroke-width: 1.5; }
.level { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 6 4; }
.s0 { --c: #0072b2; } .s1 { --c: #d55e00; } .s2 { --c: #009e73; } .s3 { --c: #aa4499; }
.fill { fill: var(--c); } .line { fill: none; stroke: var(--c); stroke-width: 2; }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9da7b3; }
.grid { stroke: #2b313a; } .axis { stroke: #9da7b3; } .whisker { stroke: #e6edf3; }
.level { stroke: #ff7b72; }
.s0 { --c: #56b4e9; } .s1 { --c: #f0a050; } .s2 { --c: #2ec4a0; } .s3 { --c: #dd99cc; }
}
";

const DASHES: [&str; 4] = ["none", "8 3", "2 3", "8 3 2 3"];

/// Returns the SVG of a plot.
pub(super) fn write(plot: &Plot) -> String {
    let mut out = String::new();
    let title = escape(&plot.title);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>{STYLE}</style>\n<title>{title}</title>\n<desc>{}</desc>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"600\">{title}</text>",
        escape(&description(plot)),
    );
    legend(plot, &mut out);
    let top = TITLE + LEGEND + 12.0;
    let y = Ruler::new(plot.y_axis.scale, &figures(plot), (HEIGHT - BOTTOM, top));
    y_axis(plot, &y, &mut out);
    match &plot.marks {
        Marks::Bars { categories } => bars(plot, categories, &y, &mut out),
        Marks::Lines { x_axis, x } => {
            let ruler = Ruler::tight(x_axis.scale, x, (LEFT + 10.0, WIDTH - RIGHT - 10.0));
            lines(plot, (x, &ruler), &y, &mut out);
            for (figure, label) in ruler.ticks() {
                let at = ruler.at(figure);
                let _ = writeln!(
                    out,
                    "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                    HEIGHT - BOTTOM + 18.0
                );
            }
            x_title(&x_axis.title(), &mut out);
        }
    }
    if let Some((level, name)) = &plot.level {
        let at = y.at(*level);
        let right = WIDTH - RIGHT;
        let _ = writeln!(
            out,
            "<line class=\"level\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n\
             <text x=\"{}\" y=\"{:.1}\">{}</text>",
            LEFT + 8.0,
            at - 5.0,
            escape(name)
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Every figure that the y axis has to contain.
fn figures(plot: &Plot) -> Vec<f64> {
    let summaries = plot.series.iter().flat_map(|series| series.figures.iter().flatten());
    summaries.flat_map(|summary| [summary.min, summary.max]).chain(plot.level.iter().map(|(level, _)| *level)).collect()
}

/// The plot in words, for a reader that does not see it.
fn description(plot: &Plot) -> String {
    let place = |at: usize| match &plot.marks {
        Marks::Bars { categories } => categories.get(at).cloned().unwrap_or_default(),
        Marks::Lines { x, .. } => x.get(at).map(|x| numbers::short(*x)).unwrap_or_default(),
    };
    let of = |name: &str, figures: &[Option<Summary>]| {
        let each = figures.iter().enumerate();
        let each = each.filter_map(|(at, cell)| Some(format!("{} at {}", numbers::short((*cell)?.median), place(at))));
        format!("{name}: {}", each.collect::<Vec<_>>().join(", "))
    };
    let series = plot.series.iter().map(|series| of(&series.name, &series.figures)).collect::<Vec<_>>();
    format!("{}. {}. Medians; whiskers from least to greatest.", plot.y_axis.title(), series.join(". "))
}

fn legend(plot: &Plot, out: &mut String) {
    let mut x = LEFT;
    for (at, series) in plot.series.iter().enumerate() {
        let y = TITLE + 6.0;
        let _ = match plot.marks {
            Marks::Bars { .. } => {
                writeln!(
                    out,
                    "<rect class=\"s{at} fill\" x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\"/>",
                    y - 10.0
                )
            }
            Marks::Lines { .. } => writeln!(
                out,
                "<line class=\"s{at} line\" stroke-dasharray=\"{}\" x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                DASHES[at % 4],
                x + 24.0,
                y - 4.0,
                y - 4.0
            ),
        };
        let begin = x + if matches!(plot.marks, Marks::Bars { .. }) { 18.0 } else { 30.0 };
        let _ = writeln!(out, "<text x=\"{begin:.1}\" y=\"{y}\">{}</text>", escape(&series.name));
        x = begin + series.name.chars().count() as f64 * LETTER + 18.0;
    }
}

fn y_axis(plot: &Plot, y: &Ruler, out: &mut String) {
    for (figure, label) in y.ticks() {
        let at = y.at(figure);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
    }
    let (top, bottom) = (TITLE + LEGEND + 12.0, HEIGHT - BOTTOM);
    let middle = f64::midpoint(top, bottom);
    let _ = writeln!(
        out,
        "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"{top}\" y2=\"{bottom}\"/>\n\
         <line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\n\
         <text class=\"soft\" transform=\"translate(16 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        WIDTH - RIGHT,
        escape(&plot.y_axis.title())
    );
}

fn x_title(title: &str, out: &mut String) {
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    let y = HEIGHT - 34.0;
    let _ =
        writeln!(out, "<text class=\"soft\" x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escape(title));
}

fn bars(plot: &Plot, categories: &[String], y: &Ruler, out: &mut String) {
    let group = (WIDTH - LEFT - RIGHT) / categories.len().max(1) as f64;
    let bar = (group * 0.8 / plot.series.len().max(1) as f64).min(64.0);
    let base = if plot.y_axis.scale == Scale::Linear { y.at(0.0) } else { HEIGHT - BOTTOM };
    for (at, category) in categories.iter().enumerate() {
        let middle = LEFT + group * (at as f64 + 0.5);
        for (of, series) in plot.series.iter().enumerate() {
            let Some(summary) = series.figures.get(at).copied().flatten() else { continue };
            let x = middle + bar * (of as f64 - plot.series.len() as f64 / 2.0);
            let (end, highest) = (y.at(summary.median), y.at(summary.max));
            let _ = writeln!(
                out,
                "<rect class=\"s{of} fill\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                x + 1.0,
                end.min(base),
                bar - 2.0,
                (base - end).abs()
            );
            whisker(&summary, x + bar / 2.0, y, out);
            let text = numbers::short(summary.median);
            let above = end.min(highest).min(base) - 5.0;
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{above:.1}\" text-anchor=\"middle\" font-size=\"11\">{text}</text>",
                x + bar / 2.0
            );
        }
        for (line, text) in wrapped(category, group - 6.0).iter().enumerate() {
            let y = HEIGHT - BOTTOM + 18.0 + 15.0 * line as f64;
            let _ =
                writeln!(out, "<text x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>", escape(text));
        }
    }
}

fn lines(plot: &Plot, (x, ruler): (&[f64], &Ruler), y: &Ruler, out: &mut String) {
    for (of, series) in plot.series.iter().enumerate() {
        let points = x.iter().zip(&series.figures).filter_map(|(x, figure)| Some((ruler.at(*x), (*figure)?)));
        let points: Vec<(f64, Summary)> = points.collect();
        let path: Vec<String> = points.iter().map(|(x, at)| format!("{x:.1},{:.1}", y.at(at.median))).collect();
        let dash = DASHES[of % 4];
        let _ =
            writeln!(out, "<polyline class=\"s{of} line\" stroke-dasharray=\"{dash}\" points=\"{}\"/>", path.join(" "));
        for (x, summary) in &points {
            whisker(summary, *x, y, out);
            mark(of, *x, y.at(summary.median), out);
        }
    }
}

/// A circle, a square, a triangle or a diamond.
fn mark(series: usize, x: f64, y: f64, out: &mut String) {
    let corners = |offsets: &[(f64, f64)]| {
        let corners = offsets.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy));
        format!("<polygon class=\"s{series} fill\" points=\"{}\"/>\n", corners.collect::<Vec<_>>().join(" "))
    };
    out.push_str(&match series % 4 {
        0 => format!("<circle class=\"s0 fill\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n"),
        1 => corners(&[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)]),
        2 => corners(&[(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0)]),
        _ => corners(&[(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)]),
    });
}

/// A line from least to greatest, unless it would be shorter than a mark.
fn whisker(summary: &Summary, x: f64, y: &Ruler, out: &mut String) {
    let (low, high) = (y.at(summary.min), y.at(summary.max));
    if low - high > 1.0 {
        let _ = writeln!(out, "<line class=\"whisker\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{high:.1}\" y2=\"{low:.1}\"/>");
    }
}

/// Returns a label in lines of at most this width, at most four; a longer word keeps its line.
fn wrapped(label: &str, width: f64) -> Vec<String> {
    let letters = (width / LETTER).max(6.0) as usize;
    let mut lines: Vec<String> = Vec::new();
    for word in label.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.truncate(4);
    lines
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
