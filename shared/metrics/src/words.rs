//! The words of the page, in the languages of the other pages.

/// Declares the words of a language, and for tests a list of them.
macro_rules! words {
    ($($name:ident)*) => {
        /// The words of one language.
        pub(crate) struct Words {
            /// Its tag (RFC 5646).
            pub(crate) lang: &'static str,
            $(pub(crate) $name: &'static str,)*
        }

        #[cfg(test)]
        impl Words {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

words! {
    decimal thousands title lead back day week year span day_unit hour_unit minute_unit now requests server_errors
    half slow slowest cold_starts per_request sent hops durations_note chart_requests chart_durations top_is
    numbers numbers_caption ago routes routes_caption route unknown_route refused limited regions regions_caption region
    share failing failing_none failing_unknown failing_since nothing further lost
}

/// English for whoever reads none of them.
pub(crate) fn of(lang: &str) -> &'static Words {
    ALL.into_iter().find(|words| words.lang == lang).unwrap_or(&EN)
}

const ALL: [&Words; 3] = [&EN, &DE, &FR];

static EN: Words = Words {
    lang: "en",
    decimal: ".",
    thousands: ",",
    title: "How the server is doing",
    lead: "What requests took and cost. Nothing here names a room or a person.",
    back: "Your account",
    day: "Day",
    week: "Week",
    year: "Year",
    span: "How far back",
    day_unit: "d",
    hour_unit: "h",
    minute_unit: "min",
    now: "now",
    requests: "Requests",
    server_errors: "Server errors",
    half: "Half within",
    slow: "95 % within",
    slowest: "99 % within",
    cold_starts: "Cold starts",
    per_request: "per request",
    sent: "Bytes sent",
    hops: "Object requests",
    durations_note: "Syncs wait for news by design, so they are left out of the durations of all routes together.",
    chart_requests: "Requests, and in red those that the server failed",
    chart_durations: "Durations: half, 95 % and 99 % of the requests took no longer",
    top_is: "Greatest value",
    numbers: "As numbers",
    numbers_caption: "The charts as numbers, the newest first",
    ago: "Ago",
    routes: "By route",
    routes_caption: "The busiest routes",
    route: "Route",
    unknown_route: "No such route",
    refused: "Refused",
    limited: "Too often",
    regions: "By region",
    regions_caption: "Where requests arrived",
    region: "Region",
    share: "Share",
    failing: "Other servers that fail",
    failing_none: "None.",
    failing_unknown: "The database did not tell.",
    failing_since: "since",
    nothing: "No requests in this time.",
    further: "Further routes: {n}",
    lost: "Reports of isolates that may have been lost: {n}",
};

static DE: Words = Words {
    lang: "de",
    decimal: ",",
    thousands: ".",
    title: "Wie es dem Server geht",
    lead: "Was Anfragen gedauert und gekostet haben. Nichts hier nennt einen Raum oder eine Person.",
    back: "Dein Konto",
    day: "Tag",
    week: "Woche",
    year: "Jahr",
    span: "Wie weit zurück",
    day_unit: "T",
    hour_unit: "h",
    minute_unit: "min",
    now: "jetzt",
    requests: "Anfragen",
    server_errors: "Serverfehler",
    half: "Die Hälfte in",
    slow: "95 % in",
    slowest: "99 % in",
    cold_starts: "Kaltstarts",
    per_request: "je Anfrage",
    sent: "Gesendet",
    hops: "Anfragen an Objekte",
    durations_note: "Syncs warten absichtlich auf Neues und zählen deshalb nicht zur Dauer aller Anfragen zusammen.",
    chart_requests: "Anfragen, und in Rot die, an denen der Server scheiterte",
    chart_durations: "Dauer: die Hälfte, 95 % und 99 % der Anfragen brauchten nicht länger",
    top_is: "Größter Wert",
    numbers: "Als Zahlen",
    numbers_caption: "Die Diagramme als Zahlen, das Neueste zuerst",
    ago: "Vor",
    routes: "Nach Endpunkt",
    routes_caption: "Die meistgefragten Endpunkte",
    route: "Endpunkt",
    unknown_route: "Kein solcher Endpunkt",
    refused: "Abgelehnt",
    limited: "Zu oft",
    regions: "Nach Region",
    regions_caption: "Wo Anfragen ankamen",
    region: "Ort",
    share: "Anteil",
    failing: "Andere Server, die nicht antworten",
    failing_none: "Keine.",
    failing_unknown: "Die Datenbank hat es nicht gesagt.",
    failing_since: "seit",
    nothing: "Keine Anfragen in dieser Zeit.",
    further: "Weitere Endpunkte: {n}",
    lost: "Berichte von Isolaten, die vielleicht verloren sind: {n}",
};

static FR: Words = Words {
    lang: "fr",
    decimal: ",",
    thousands: "\u{202f}",
    title: "Comment va le serveur",
    lead: "Ce que les requêtes ont duré et coûté. Rien ici ne nomme un salon ou une personne.",
    back: "Votre compte",
    day: "Jour",
    week: "Semaine",
    year: "Année",
    span: "Jusqu’où remonter",
    day_unit: "j",
    hour_unit: "h",
    minute_unit: "min",
    now: "maintenant",
    requests: "Requêtes",
    server_errors: "Erreurs du serveur",
    half: "La moitié en",
    slow: "95 % en",
    slowest: "99 % en",
    cold_starts: "Démarrages à froid",
    per_request: "par requête",
    sent: "Octets envoyés",
    hops: "Requêtes aux objets",
    durations_note: "Les synchronisations attendent exprès des nouvelles ; elles ne comptent donc pas dans les durées de l’ensemble.",
    chart_requests: "Requêtes, et en rouge celles où le serveur a échoué",
    chart_durations: "Durées : la moitié, 95 % et 99 % des requêtes n’ont pas pris plus longtemps",
    top_is: "Valeur la plus grande",
    numbers: "En chiffres",
    numbers_caption: "Les graphiques en chiffres, le plus récent d’abord",
    ago: "Il y a",
    routes: "Par adresse",
    routes_caption: "Les adresses les plus demandées",
    route: "Adresse",
    unknown_route: "Adresse inconnue",
    refused: "Refusées",
    limited: "Trop souvent",
    regions: "Par région",
    regions_caption: "Où les requêtes sont arrivées",
    region: "Lieu",
    share: "Part",
    failing: "Autres serveurs qui ne répondent pas",
    failing_none: "Aucun.",
    failing_unknown: "La base de données ne l’a pas dit.",
    failing_since: "depuis",
    nothing: "Aucune requête pendant ce temps.",
    further: "Autres adresses : {n}",
    lost: "Rapports d’isolats peut-être perdus : {n}",
};

#[cfg(test)]
mod tests {
    use super::{ALL, of};

    /// Words that are spelt alike in several languages.
    const ALIKE: [&str; 5] = ["decimal", "thousands", "day_unit", "hour_unit", "minute_unit"];

    #[test]
    fn every_word_is_there_in_every_language() {
        for words in ALL {
            for ((name, said), (_, english)) in words.all().into_iter().zip(of("xx").all()) {
                assert!(!said.is_empty() && !said.contains(['<', '>', '"', '\'']), "{name} ({})", words.lang);
                assert_eq!(said.contains("{n}"), english.contains("{n}"), "{name} ({})", words.lang);
                assert!(words.lang == "en" || said != english || ALIKE.contains(&name), "{name} ({})", words.lang);
            }
        }
    }
}
