//! The elements of HTML, as far as a text needs to know them.

/// What an element means for the text in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stands on lines of its own, a blank line around it.
    Paragraph,
    /// Stands on lines of its own.
    Block,
    /// Is a line break.
    Break,
    /// An item of a list.
    Item,
    /// A cell of a table.
    Cell,
    /// Keeps its line breaks.
    Verbatim,
    /// Is code.
    Code,
    /// Is raised, as exponents are.
    Raised,
    /// Changes how its text looks.
    Inline,
    /// Holds nothing that is read.
    Unread,
    /// Shows that all of the text is a page.
    Page,
}

/// What shows that a tag of the element is meant as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The name is enough.
    Name,
    /// It holds something, so that both tags must be there, or attributes.
    Pair,
    /// It means nothing without attributes.
    Attributes,
    /// The name is used for other things too, in prompts and placeholders: the text must be a page.
    Page,
}

/// An element: its kind, and what shows that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) proof: Proof,
}

/// The element of this name, in lower case.
pub(super) fn element(name: &[u8]) -> Option<Element> {
    let (kind, proof) =
        match name {
            b"br" => (Kind::Break, Proof::Name),
            b"hr" => (Kind::Block, Proof::Name),
            b"wbr" => (Kind::Inline, Proof::Name),
            b"p" => (Kind::Paragraph, Proof::Name),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"blockquote" => (Kind::Paragraph, Proof::Pair),
            b"div" | b"center" | b"ul" | b"ol" | b"dl" | b"table" | b"tbody" | b"thead" | b"tfoot"
            | b"fieldset" => (Kind::Block, Proof::Pair),
            b"tr" | b"dt" | b"dd" => (Kind::Block, Proof::Name),
            b"li" => (Kind::Item, Proof::Name),
            b"td" | b"th" => (Kind::Cell, Proof::Name),
            b"pre" => (Kind::Verbatim, Proof::Pair),
            b"code" => (Kind::Code, Proof::Pair),
            b"sup" => (Kind::Raised, Proof::Pair),
            b"a" | b"b" | b"i" | b"u" | b"s" | b"em" | b"strong" | b"small" | b"big" | b"sub" | b"ins"
            | b"del" | b"strike" | b"tt" | b"mark" | b"kbd" | b"samp" | b"var" | b"font" | b"span"
            | b"abbr" | b"acronym" | b"bdi" | b"bdo" | b"nobr" | b"blink" | b"marquee" | b"q" | b"cite"
            | b"dfn" => (Kind::Inline, Proof::Pair),
            b"img" | b"link" | b"meta" | b"base" | b"col" | b"colgroup" | b"area" | b"map" | b"iframe"
            | b"param" | b"embed" | b"bgsound" | b"basefont" | b"frame" | b"spacer" | b"layer" => {
                (Kind::Inline, Proof::Attributes)
            }
            b"script" | b"style" | b"noscript" | b"svg" => (Kind::Unread, Proof::Pair),
            b"title" | b"template" | b"select" | b"object" | b"canvas" | b"audio" | b"video" => {
                (Kind::Unread, Proof::Page)
            }
            b"html" | b"body" | b"head" | b"frameset" | b"noframes" => (Kind::Page, Proof::Name),
            b"section" | b"article" | b"header" | b"footer" | b"main" | b"nav" | b"aside" | b"address"
            | b"details" | b"summary" | b"figure" | b"figcaption" | b"form" | b"caption" | b"legend"
            | b"dialog" | b"menu" | b"dir" | b"option" | b"optgroup" | b"hgroup" | b"search" => {
                (Kind::Block, Proof::Page)
            }
            b"label" | b"input" | b"button" | b"textarea" | b"output" | b"data" | b"time" | b"source"
            | b"track" | b"picture" | b"progress" | b"meter" | b"ruby" | b"rt" | b"rp" | b"rb" | b"slot" => {
                (Kind::Inline, Proof::Page)
            }
            b"o:p" | b"v:shape" | b"v:imagedata" | b"v:shapetype" | b"w:wrap" | b"st1:place"
            | b"st1:city" => (Kind::Inline, Proof::Name),
            _ => return None,
        };
    Some(Element { kind, proof })
}

/// Attributes that need no value.
pub(super) fn stands_alone(attribute: &[u8]) -> bool {
    matches!(
        attribute,
        b"checked"
            | b"compact"
            | b"disabled"
            | b"hidden"
            | b"ismap"
            | b"nohref"
            | b"noresize"
            | b"noshade"
            | b"nowrap"
            | b"readonly"
            | b"selected"
            | b"async"
            | b"defer"
            | b"open"
            | b"required"
            | b"/"
    )
}
