//! What mail programs and people write around quotations and signatures, in several languages; all in lower case.

/// How the line begins that introduces a quotation, and how it ends.
pub(super) const ATTRIBUTIONS: [(&str, &str); 22] = [
    ("on ", "wrote:"),
    ("on ", "writes:"),
    ("at ", "wrote:"),
    ("am ", "schrieb:"),
    ("am ", "geschrieben:"),
    ("am ", ">:"),
    ("le ", "a écrit :"),
    ("le ", "a écrit:"),
    ("el ", "escribió:"),
    ("il ", "ha scritto:"),
    ("il giorno ", "ha scritto:"),
    ("em ", "escreveu:"),
    ("op ", "schreef:"),
    ("op ", "geschreven:"),
    ("den ", "skrev:"),
    ("på ", "skrev:"),
    ("w dniu ", "pisze:"),
    ("w dniu ", "napisał(a):"),
    ("dne ", "napsal(a):"),
    ("", "написал(а):"),
    ("", "写道："),
    ("", "のメール:"),
];

/// How a line that names a writer ends; a quotation must follow.
pub(super) const SAYS: [&str; 14] = [
    "wrote:", "writes:", "said:", "wrote...", "schrieb:", "schreibt:", "a écrit :", "a écrit:", "escribió:", "ha scritto:",
    "escreveu:", "schreef:", "skrev:", "пишет:",
];

/// What stands between hyphens above a mail that is quoted whole.
pub(super) const ORIGINALS: [&str; 16] = [
    "original message",
    "original mail",
    "original appointment",
    "ursprüngliche nachricht",
    "originalnachricht",
    "message d'origine",
    "message original",
    "mensaje original",
    "messaggio originale",
    "mensagem original",
    "oorspronkelijk bericht",
    "ursprungligt meddelande",
    "oprindelig meddelelse",
    "oryginalna wiadomość",
    "исходное сообщение",
    "reply message",
];

/// What stands between hyphens, or as a line of its own, above a mail that is handed on.
pub(super) const FORWARDS: [&str; 13] = [
    "forwarded message",
    "forwarded by",
    "begin forwarded message",
    "forward message",
    "weitergeleitete nachricht",
    "anfang der weitergeleiteten nachricht",
    "message transféré",
    "début du message réexpédié",
    "mensaje reenviado",
    "messaggio inoltrato",
    "mensagem encaminhada",
    "doorgestuurd bericht",
    "пересылаемое сообщение",
];

/// The names of the sender in a header.
pub(super) const FROM: [&str; 10] = ["from", "von", "de", "da", "van", "från", "fra", "od", "от", "发件人"];

/// The names of the other fields in a header.
pub(super) const FIELDS: [&str; 43] = [
    "sent", "to", "cc", "bcc", "date", "subject", "reply-to", "importance", "message-id", "gesendet", "an", "datum", "betreff",
    "kopie", "envoyé", "à", "objet", "date d'envoi", "enviado", "enviado el", "para", "asunto", "fecha", "inviato", "a",
    "oggetto", "data", "enviada em", "assunto", "verzonden", "aan", "onderwerp", "skickat", "till", "ämne", "sendt", "til",
    "emne", "wysłano", "do", "temat", "кому", "тема",
];

/// What telephones write under a mail; the line begins so.
pub(super) const SENT_FROM: [&str; 26] = [
    "sent from my ",
    "sent from mail for ",
    "sent from yahoo mail",
    "sent from outlook",
    "sent from proton",
    "sent via ",
    "get outlook for ",
    "sent using ",
    "von meinem iphone gesendet",
    "von meinem ipad gesendet",
    "gesendet von ",
    "gesendet mit ",
    "von unterwegs gesendet",
    "envoyé de mon ",
    "envoyé depuis ",
    "télécharger outlook pour ",
    "enviado desde ",
    "enviado do meu ",
    "enviado de mi ",
    "obtener outlook para ",
    "inviato da ",
    "verstuurd vanaf ",
    "verzonden vanaf ",
    "skickat från ",
    "sendt fra min ",
    "отправлено с ",
];

/// With what people close a letter. A name stands on the next line.
pub(super) const CLOSINGS: [&str; 57] = [
    "best regards", "kind regards", "kindest regards", "warm regards", "warmest regards", "best wishes", "with best regards",
    "with kind regards", "regards", "sincerely", "yours sincerely", "sincerely yours", "yours faithfully", "yours truly",
    "respectfully", "cheers", "many thanks", "thanks", "thank you", "thanks and regards", "thanks & regards", "thank you very much",
    "thanks in advance", "thanks again", "all the best", "best", "cordially", "rgds", "with regards", "mit freundlichen grüßen",
    "mit freundlichen grüssen", "mit freundlichem gruß", "mit besten grüßen", "freundliche grüße", "viele grüße", "beste grüße",
    "liebe grüße", "mfg", "lg", "vg", "cordialement", "bien cordialement", "bien à vous", "salutations", "sincères salutations",
    "saludos", "saludos cordiales", "un saludo", "atentamente", "cordiali saluti", "distinti saluti", "saluti", "atenciosamente",
    "met vriendelijke groet", "med vänliga hälsningar", "с уважением", "pozdrawiam",
];
