//! Tests of the plot: what a reader needs is in the SVG, and the ticks are round.

use super::axis::Ruler;
use super::*;
use crate::outcome::{Column, Measurements};

fn table() -> Table {
    let mut measured = Measurements::new(vec![Column::new("twice", "", 0), Column::new("lost & <gone>", "", 0)]);
    measured.record("charge, then store the key", &[12.0, 0.0]);
    measured.record("charge, then store the key", &[18.0, 0.0]);
    measured.record("ours", &[0.0, f64::NAN]);
    measured.table()
}

#[test]
fn bars_have_title_axis_legend_labels_and_both_schemes() {
    let svg = Plot::bars("Kill points", Axis::linear("wrong points", "of 30"), &table(), &[0, 1]).svg();
    let wanted = [
        "wrong points (of 30)",
        "lost &amp; &lt;gone&gt;",
        "prefers-color-scheme: dark",
        ">ours</text>",
        "<title>Kill points",
        "whisker",
    ];
    for wanted in wanted {
        assert!(svg.contains(wanted), "{wanted} is missing in {svg}");
    }
    // Three bars and two squares of the legend.
    assert_eq!(svg.matches(" fill\"").count(), 5);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn lines_have_a_mark_for_each_figure_and_the_level() {
    let axes = (Axis::logarithmic("drivers", ""), Axis::logarithmic("time", "µs"));
    let plot = Plot::lines("Search", axes, vec![10.0, 1_000.0], (&table(), &[0, 1])).with_level(1.0, "limit");
    let svg = plot.svg();
    assert_eq!(svg.matches("<polyline").count(), 2);
    assert_eq!(svg.matches("<circle").count(), 2);
    assert!(svg.contains(">limit</text>") && svg.contains(">1,000</text>") && svg.contains("time (µs)"), "{svg}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn axis_without_figures_or_with_equal_ones_has_ticks() {
    for figures in [vec![], vec![0.0], vec![5.0, 5.0], vec![-3.0, 4.0]] {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let ruler = Ruler::new(scale, &figures, (300.0, 0.0));
            assert!(ruler.ticks().len() >= 2, "{scale:?} {figures:?}");
            assert!(figures.iter().all(|figure| ruler.at(*figure).is_finite()), "{scale:?} {figures:?}");
        }
    }
}

#[test]
fn ticks_are_round() {
    let labels = |figures: &[f64], scale| {
        let ticks = Ruler::new(scale, figures, (0.0, 100.0)).ticks();
        ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(labels(&[17.0], Scale::Linear), "0 5 10 15 20");
    assert_eq!(labels(&[0.7], Scale::Linear), "0 0.2 0.4 0.6 0.8");
    assert_eq!(labels(&[0.5, 12_000.0], Scale::Logarithmic), "0.1 1 10 100 1,000 10,000 100,000");
}
