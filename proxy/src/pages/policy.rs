//! What every page comes with: its one style, the scripts that save a step, the headers that keep it to itself.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::respond::Answer;

/// The style of all pages.
pub(super) const STYLE: &str = include_str!("../../templates/style.css");

/// Puts what stands behind the `#` of a mail's link into the form, and takes it out of the address. Without a script somebody
/// pastes the link.
pub(super) const PROOF_SCRIPT: &str = "var p=document.getElementById('proof'),h=location.hash.slice(1);\
    if(h){p.value=h;history.replaceState(null,'',location.pathname+location.search)}if(p.value)p.parentNode.hidden=true";

/// Shows the box that shows the password, which could do nothing without a script. The form is sent with hidden passwords, so
/// that the browser takes them for what they are.
pub(super) const SHOW_SCRIPT: &str = "var s=document.getElementById('show');s.parentNode.hidden=false;\
    s.onchange=function(){document.querySelectorAll('.secret').forEach(function(f){f.type=s.checked?'text':'password'})};\
    s.form.onsubmit=function(){s.checked=false;s.onchange()}";

thread_local! {
    static STYLE_SOURCE: String = source(STYLE);
}

/// How a content security policy names a style or a script that stands in the page.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// A page whose form ends, by redirects, at `target`, and whose scripts are these.
pub(super) fn page(html: String, target: &str, scripts: &[&str]) -> Answer {
    let scripts: Vec<_> = scripts.iter().map(|script| source(script)).collect();
    let scripts = if scripts.is_empty() { String::new() } else { format!("; script-src {}", scripts.join(" ")) };
    let policy = STYLE_SOURCE.with(|style| {
        format!(
            "default-src 'none'; img-src 'self'; style-src {style}; form-action 'self' {target}; \
             frame-ancestors 'none'; base-uri 'none'{scripts}"
        )
    });
    guarded(Answer::page(200, html)).with_header("content-security-policy", policy)
}

/// What no page may come without.
pub(super) fn guarded(answer: Answer) -> Answer {
    answer
        .with_header("x-frame-options", "DENY")
        .with_header("x-content-type-options", "nosniff")
        // `no-referrer` would make browsers send forms with an origin of `null`.
        .with_header("referrer-policy", "same-origin")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::STYLE;

    /// The colours of one scheme by their names.
    fn colours(dark: bool) -> BTreeMap<&'static str, [f64; 3]> {
        let mut blocks =
            STYLE.split(":root{").skip(1).filter_map(|block| block.split_once('}')).map(|(block, _)| block);
        let (light, night) = (blocks.next().unwrap_or_default(), blocks.next().unwrap_or_default());
        let all = light.split(';').chain(night.split(';').filter(|_| dark));
        all.filter_map(|line| line.trim_start_matches("--").split_once(":#"))
            .map(|(name, hex)| (name, channels(hex)))
            .collect()
    }

    /// Red, green and blue from 0 to 1, from three or six digits.
    fn channels(hex: &str) -> [f64; 3] {
        let width = hex.len() / 3;
        [0, 1, 2].map(|at| {
            let digits = hex.get(at * width..(at + 1) * width).unwrap_or_default();
            f64::from(u8::from_str_radix(&digits.repeat(2 / width), 16).unwrap_or_default()) / 255.0
        })
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(colour: [f64; 3]) -> f64 {
        let [red, green, blue] =
            colour.map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_text_stands_out_by_day_and_by_night() {
        // Text needs 4.5 (WCAG 2.2, 1.4.3), the edge of a field and the ring of the focus 3 (1.4.11).
        let texts = [
            ("ink", "back"),
            ("ink", "card"),
            ("ink", "field"),
            ("soft", "back"),
            ("soft", "card"),
            ("sea", "card"),
            ("sea-deep", "card"),
            ("sea-ink", "sea"),
            ("sea-ink", "sea-deep"),
            ("alert", "card"),
            ("alert", "alert-back"),
            ("good", "good-back"),
        ];
        let edges = [
            ("soft", "card"),
            ("soft", "field"),
            ("alert", "field"),
            ("focus", "card"),
            ("focus", "back"),
            ("sea", "back"),
        ];
        for dark in [false, true] {
            let colours = colours(dark);
            assert_eq!(colours.len(), 14, "{colours:?}");
            for (pairs, least) in [(&texts[..], 4.5), (&edges[..], 3.0)] {
                for (front, back) in pairs {
                    let colour = |name: &str| colours.get(name).copied().unwrap_or_default();
                    let found = contrast(colour(front), colour(back));
                    assert!(found >= least, "{front} on {back}, dark: {dark}: {found:.2}");
                }
            }
        }
    }

    #[test]
    fn nothing_moves() {
        // So there is nothing that `prefers-reduced-motion` would have to stop.
        for moving in ["animation", "transition", "@keyframes", "scroll-behavior"] {
            assert!(!STYLE.contains(moving), "{moving}");
        }
        assert!(STYLE.contains("color-scheme:light dark"));
    }
}
