//! Every word on the pages, one table per language. A new language is a file like `en.rs` and a line in [`LANGUAGES`]; a
//! missing string does not compile.

mod ago;
mod de;
mod en;
mod fr;
mod words;

use tern_auth::mail::Occasion;
use tern_edge::threepid::News;
use tern_model::Config;

pub(crate) use self::{ago::Moment, words::Text};

/// The words before and after the place that is filled in.
pub(crate) fn around(words: &str) -> (&str, &str) {
    let before = words.split_once('{');
    before.and_then(|(before, rest)| Some((before, rest.split_once('}')?.1))).unwrap_or((words, ""))
}

impl Text {
    /// Subject and text of a mail.
    pub(crate) fn letter(&self, config: &Config, news: News<'_>) -> (String, String) {
        let (subject, text, link) = match news {
            News::Link(Occasion::Password, link) => (self.letter_password, self.letter_recover, link),
            News::Link(Occasion::Register | Occasion::Add, link) => (self.letter_address, self.letter_confirm, link),
            News::Known => (self.letter_address, self.letter_known, ""),
            News::Unknown => (self.letter_password, self.letter_unknown, ""),
        };
        let server = config.server_name.as_str();
        (subject.replace("{server}", server), text.replace("{server}", server).replace("{link}", link))
    }
}

const LANGUAGES: [&Text; 3] = [&en::TEXT, &de::TEXT, &fr::TEXT];

/// The best language for an `Accept-Language` header: the one with the greatest weight that there is; English otherwise.
pub(crate) fn choose(accepted: Option<&str>) -> &'static Text {
    let ranges = accepted.unwrap_or_default().split(',').take(32).filter_map(|range| {
        let (tag, weight) = range.split_once(";q=").unwrap_or((range, "1"));
        let primary = tag.trim().split('-').next()?;
        let text = LANGUAGES.into_iter().find(|text| text.lang.eq_ignore_ascii_case(primary))?;
        Some((weight.trim().parse::<f32>().ok()?, text))
    });
    // The first of equals wins.
    let best = ranges.fold(None, |best: Option<(f32, _)>, one| best.filter(|best| best.0 >= one.0).or(Some(one)));
    best.map_or(&en::TEXT, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::{LANGUAGES, choose, en};

    /// Words that are spelt alike in several languages.
    const ALIKE: [&str; 3] = ["app", "code", "sessions"];

    /// The places of a text where something is filled in.
    fn places(words: &str) -> Vec<&str> {
        let mut places: Vec<_> =
            words.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn every_word_is_there_in_every_language() {
        for text in LANGUAGES {
            for ((name, words), (_, english)) in text.all().into_iter().zip(en::TEXT.all()) {
                let said = format!("{name} ({})", text.lang);
                assert!(
                    !words.is_empty() && words.trim() == words.trim_end_matches('\n'),
                    "{said} is empty or not trimmed"
                );
                assert_eq!(places(words), places(english), "{said} is filled in elsewhere");
                let own = text.lang == "en" || words != english || ALIKE.contains(&name);
                assert!(own, "{said} is English: {words}");
                assert!(!words.contains(['<', '>', '"', '\'']), "{said} is not set as its language is: {words}");
            }
        }
    }

    #[test]
    fn the_wanted_language_is_chosen() {
        for (accepted, lang) in [
            ("", "en"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("fr-CA, fr;q=0.9, en;q=0.8", "fr"),
            ("it,en-GB;q=0.7,de;q=0.3", "en"),
            ("it;q=1,xx", "en"),
            ("en;q=nonsense,de;q=0.1", "de"),
        ] {
            assert_eq!(choose(Some(accepted)).lang, lang, "{accepted}");
        }
        assert_eq!(choose(None).lang, "en");
    }
}
