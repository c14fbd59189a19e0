//! Common names and words, of which stand-ins are made. No list is of persons.

#[rustfmt::skip]
pub(super) const WOMEN: &[&str] = &[
    "Alice", "Amelia", "Andrea", "Anna", "Astrid", "Beatrice", "Bianca", "Camille", "Carla", "Caroline", "Cecilia", "Clara",
    "Claudia", "Daniela", "Diana", "Edith", "Elena", "Elisa", "Emilia", "Emma", "Erika", "Eva", "Flora", "Frida", "Greta",
    "Hanna", "Helena", "Ida", "Ines", "Irene", "Isabel", "Jana", "Johanna", "Julia", "Karin", "Katharina", "Laura", "Lena",
    "Linda", "Lisa", "Louisa", "Lucia", "Lydia", "Maria", "Marina", "Marta", "Maya", "Mila", "Monika", "Nadia", "Natalie",
    "Nora", "Olivia", "Paula", "Petra", "Renata", "Rosa", "Ruth", "Sabine", "Sandra", "Sarah", "Silvia", "Simone", "Sofia",
    "Sonja", "Stella", "Susanne", "Teresa", "Ulrike", "Valerie", "Vera", "Victoria", "Wanda", "Yvonne",
];

#[rustfmt::skip]
pub(super) const MEN: &[&str] = &[
    "Adam", "Albert", "Alexander", "Andreas", "Anton", "Arthur", "Benjamin", "Bernard", "Bruno", "Carlos", "Christian",
    "Daniel", "David", "Dennis", "Edgar", "Edward", "Emil", "Erik", "Felix", "Filip", "Florian", "Frank", "Gabriel", "Georg",
    "Gregor", "Gustav", "Hannes", "Henrik", "Hugo", "Ivan", "Jakob", "Jan", "Joel", "Johan", "Jonas", "Julian", "Karl",
    "Konrad", "Lars", "Leo", "Leonard", "Louis", "Lukas", "Manuel", "Marco", "Martin", "Matthias", "Max", "Michael", "Niklas",
    "Nils", "Noah", "Oliver", "Oscar", "Pascal", "Patrick", "Paul", "Peter", "Philip", "Rafael", "Richard", "Robert", "Samuel",
    "Sebastian", "Simon", "Stefan", "Theo", "Thomas", "Tobias", "Victor", "Vincent", "Walter", "William", "Xavier",
];

#[rustfmt::skip]
pub(super) const SURNAMES: &[&str] = &[
    "Albrecht", "Andersen", "Ashby", "Bailey", "Baker", "Barlow", "Bauer", "Becker", "Bennett", "Berger", "Bishop", "Brandt",
    "Brennan", "Brooks", "Carter", "Castell", "Chapman", "Collins", "Conrad", "Cooper", "Dalton", "Dawson", "Delgado", "Doyle",
    "Dupont", "Eklund", "Elliott", "Engel", "Ferrari", "Fischer", "Fletcher", "Foster", "Fournier", "Franklin", "Garner",
    "Gibson", "Graham", "Hagen", "Hammond", "Hansen", "Harper", "Hartley", "Hayes", "Hoffmann", "Holm", "Hudson", "Jansen",
    "Jensen", "Keller", "Kendall", "Kowalski", "Kramer", "Lambert", "Lang", "Larsen", "Lawson", "Lehmann", "Lindberg",
    "Lombardi", "Lorenz", "Mancini", "Marsh", "Meyer", "Miller", "Moreau", "Morgan", "Morris", "Navarro", "Newton", "Nielsen",
    "Norris", "Novak", "Olsen", "Palmer", "Parker", "Pearson", "Petrov", "Porter", "Quinn", "Ramsey", "Reed", "Reuter",
    "Richter", "Rinaldi", "Roberts", "Romano", "Ross", "Russo", "Sanders", "Schreiber", "Schuster", "Seidel", "Serrano",
    "Sommer", "Stone", "Sutton", "Svensson", "Tanner", "Taylor", "Thornton", "Tucker", "Turner", "Vogel", "Wagner", "Walsh",
    "Ward", "Warren", "Weaver", "Weber", "Webster", "Wendt", "Wheeler", "Winkler", "Wright", "Zeller", "Ziegler",
];

/// Names of streets that are in many towns, before their kind.
#[rustfmt::skip]
pub(super) const STREETS: &[&str] = &[
    "Acorn", "Alder", "Aspen", "Beech", "Birch", "Bridge", "Brook", "Cedar", "Cherry", "Chestnut", "Clover", "Elder", "Elm",
    "Fern", "Garden", "Hazel", "Heather", "Hill", "Holly", "Ivy", "Juniper", "Laurel", "Linden", "Magnolia", "Maple", "Meadow",
    "Mill", "Oak", "Orchard", "Pine", "Poplar", "Quarry", "Ridge", "River", "Rose", "Spring", "Spruce", "Sycamore", "Tulip",
    "Valley", "Walnut", "Willow",
];

/// Places that are on no map, as far as is known.
#[rustfmt::skip]
pub(super) const PLACES: &[&str] = &[
    "Alderbrook", "Ashcombe", "Birchfield", "Brackenford", "Clearwick", "Cloverdale", "Crosshaven", "Dunmarsh", "Eastmere",
    "Elmstead", "Fairmoor", "Fernhollow", "Foxbridge", "Glenharrow", "Greywater", "Hartsford", "Hazelmere", "Ivybridge",
    "Kestrelton", "Larkfield", "Lindenau", "Marlowe Bay", "Mossgate", "Northmere", "Oakhurst", "Pinecrest", "Ravensworth",
    "Redwillow", "Rookwood", "Silverlake", "Stonebrook", "Thornbury Vale", "Westhollow", "Wheatley Cross", "Willowmere",
];

#[rustfmt::skip]
pub(super) const FIRMS: &[&str] = &[
    "Alderpoint", "Arcwell", "Bluefield", "Brightmoor", "Cobaltine", "Corvane", "Delphane", "Eastgrove", "Fernwick", "Glasspoint",
    "Harrowfield", "Inkwell", "Juniper Works", "Kitestone", "Larkmount", "Meridale", "Northpeak", "Oakline", "Palefire",
    "Quillmark", "Redharbour", "Silverbirch", "Tallgrass", "Umberline", "Vantamere", "Westforge", "Yarrowby", "Zephyrine",
];

/// Segments of addresses of the web.
pub(super) const SEGMENTS: &[&str] = &[
    "about",
    "articles",
    "blog",
    "catalogue",
    "docs",
    "events",
    "help",
    "home",
    "info",
    "news",
    "page",
    "products",
    "shop",
    "topics",
];
