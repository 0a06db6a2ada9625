//! Every word on the pages, one table per language. A new language is a file like `en.rs` and a line in [`LANGUAGES`]; a
//! missing string does not compile.

mod de;
mod en;

use tern_auth::mail::Occasion;
use tern_edge::threepid::News;
use tern_model::Config;

/// The words of one language.
pub(crate) struct Text {
    /// Its tag (RFC 5646).
    pub(crate) lang: &'static str,
    pub(crate) sign_in: &'static str,
    pub(crate) sign_in_lead: &'static str,
    pub(crate) username: &'static str,
    pub(crate) username_hint: &'static str,
    pub(crate) password: &'static str,
    pub(crate) password_hint: &'static str,
    pub(crate) password_again: &'static str,
    pub(crate) no_account: &'static str,
    pub(crate) have_account: &'static str,
    pub(crate) create_account: &'static str,
    pub(crate) register_lead: &'static str,
    pub(crate) registration_token: &'static str,
    pub(crate) registration_token_hint: &'static str,
    pub(crate) your_account: &'static str,
    pub(crate) problem: &'static str,
    pub(crate) not_this_way: &'static str,
    pub(crate) stale_form: &'static str,
    pub(crate) wrong_password: &'static str,
    pub(crate) passwords_differ: &'static str,
    pub(crate) password_short: &'static str,
    pub(crate) name_taken: &'static str,
    pub(crate) name_not_allowed: &'static str,
    pub(crate) wrong_token: &'static str,
    pub(crate) registration_closed: &'static str,
    pub(crate) too_often: &'static str,
    pub(crate) try_again: &'static str,
    pub(crate) allow_title: &'static str,
    pub(crate) allow_question: &'static str,
    pub(crate) client_from: &'static str,
    pub(crate) client_unverified: &'static str,
    pub(crate) signed_in_as: &'static str,
    pub(crate) it_will: &'static str,
    pub(crate) may_read: &'static str,
    pub(crate) may_send: &'static str,
    pub(crate) may_manage: &'static str,
    pub(crate) may_identify: &'static str,
    pub(crate) allow: &'static str,
    pub(crate) deny: &'static str,
    pub(crate) not_you: &'static str,
    pub(crate) other_account: &'static str,
    pub(crate) app_mistake: &'static str,
    pub(crate) back_to_app: &'static str,
    pub(crate) device_title: &'static str,
    pub(crate) device_lead: &'static str,
    pub(crate) device_warning: &'static str,
    pub(crate) device_allowed: &'static str,
    pub(crate) device_denied: &'static str,
    pub(crate) code: &'static str,
    pub(crate) wrong_code: &'static str,
    pub(crate) next: &'static str,
    pub(crate) profile: &'static str,
    pub(crate) display_name: &'static str,
    pub(crate) save: &'static str,
    pub(crate) saved: &'static str,
    pub(crate) sessions: &'static str,
    pub(crate) no_sessions: &'static str,
    pub(crate) details: &'static str,
    pub(crate) security: &'static str,
    pub(crate) change: &'static str,
    pub(crate) identity: &'static str,
    pub(crate) identity_hint: &'static str,
    pub(crate) reset: &'static str,
    pub(crate) reset_lead: &'static str,
    pub(crate) reset_allow: &'static str,
    pub(crate) reset_allowed: &'static str,
    pub(crate) deactivate: &'static str,
    pub(crate) deactivate_hint: &'static str,
    pub(crate) deactivate_lead: &'static str,
    pub(crate) sign_out_here: &'static str,
    pub(crate) app: &'static str,
    pub(crate) last_seen: &'static str,
    pub(crate) end_hint: &'static str,
    pub(crate) end_session: &'static str,
    pub(crate) session_ended: &'static str,
    pub(crate) change_password: &'static str,
    pub(crate) current_password: &'static str,
    pub(crate) new_password: &'static str,
    pub(crate) sign_out_everywhere: &'static str,
    pub(crate) password_changed: &'static str,
    pub(crate) never_mind: &'static str,
    pub(crate) account_locked: &'static str,
    pub(crate) session_gone: &'static str,
    pub(crate) address: &'static str,
    pub(crate) end_question: &'static str,
    pub(crate) reset_device: &'static str,
    pub(crate) erase: &'static str,
    pub(crate) deactivated: &'static str,
    pub(crate) goodbye: &'static str,
    pub(crate) email: &'static str,
    pub(crate) forgot: &'static str,
    pub(crate) recover: &'static str,
    pub(crate) recover_lead: &'static str,
    pub(crate) register_mail_lead: &'static str,
    pub(crate) send_link: &'static str,
    pub(crate) mail_sent: &'static str,
    pub(crate) mail_title: &'static str,
    pub(crate) mail_lead: &'static str,
    pub(crate) mail_link: &'static str,
    pub(crate) mail_confirm: &'static str,
    pub(crate) mail_confirmed: &'static str,
    pub(crate) mail_stale: &'static str,
    pub(crate) mail_invalid: &'static str,
    pub(crate) mail_in_use: &'static str,
    pub(crate) letter_address: &'static str,
    pub(crate) letter_password: &'static str,
    pub(crate) letter_confirm: &'static str,
    pub(crate) letter_recover: &'static str,
    pub(crate) letter_known: &'static str,
    pub(crate) letter_unknown: &'static str,
    pub(crate) continue_with: &'static str,
    pub(crate) choose_name: &'static str,
    pub(crate) connected: &'static str,
    pub(crate) connect: &'static str,
    pub(crate) disconnect: &'static str,
    pub(crate) untied: &'static str,
    pub(crate) last_way: &'static str,
    pub(crate) prove: &'static str,
    pub(crate) prove_lead: &'static str,
    pub(crate) agree: &'static str,
    pub(crate) terms_needed: &'static str,
    pub(crate) proven: &'static str,
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

const LANGUAGES: [&Text; 2] = [&en::TEXT, &de::TEXT];

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
    use super::choose;

    #[test]
    fn the_wanted_language_is_chosen() {
        for (accepted, lang) in [
            ("", "en"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("fr,en-GB;q=0.7,de;q=0.3", "en"),
            ("fr;q=1,xx", "en"),
            ("en;q=nonsense,de;q=0.1", "de"),
        ] {
            assert_eq!(choose(Some(accepted)).lang, lang, "{accepted}");
        }
        assert_eq!(choose(None).lang, "en");
    }
}
