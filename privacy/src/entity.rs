//! What a span of a text can be.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! entities {
    ($($variant:ident = $name:literal,)*) => {
        /// A kind of personal data or secret. The names are those that Presidio gives them, where it has them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Entity {
            $(#[doc = $name] $variant,)*
        }

        impl Entity {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, such as `EMAIL_ADDRESS`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

entities! {
    EmailAddress = "EMAIL_ADDRESS",
    PhoneNumber = "PHONE_NUMBER",
    CreditCard = "CREDIT_CARD",
    IbanCode = "IBAN_CODE",
    IpAddress = "IP_ADDRESS",
    MacAddress = "MAC_ADDRESS",
    Url = "URL",
    Crypto = "CRYPTO",
    DateTime = "DATE_TIME",
    DateOfBirth = "DATE_OF_BIRTH",
    Person = "PERSON",
    StreetAddress = "STREET_ADDRESS",
    Location = "LOCATION",
    Organization = "ORGANIZATION",
    PostalCode = "POSTAL_CODE",
    Username = "USERNAME",
    Password = "PASSWORD",
    UsSsn = "US_SSN",
    UsItin = "US_ITIN",
    UsPassport = "US_PASSPORT",
    UsDriverLicense = "US_DRIVER_LICENSE",
    UsBankNumber = "US_BANK_NUMBER",
    UsMbi = "US_MBI",
    UsNpi = "US_NPI",
    AbaRoutingNumber = "ABA_ROUTING_NUMBER",
    MedicalLicense = "MEDICAL_LICENSE",
    UkNhs = "UK_NHS",
    UkNino = "UK_NINO",
    UkDrivingLicence = "UK_DRIVING_LICENCE",
    UkPassport = "UK_PASSPORT",
    UkPostcode = "UK_POSTCODE",
    UkVehicleRegistration = "UK_VEHICLE_REGISTRATION",
    DeBsnr = "DE_BSNR",
    DeFuehrerschein = "DE_FUEHRERSCHEIN",
    DeHandelsregister = "DE_HANDELSREGISTER",
    DeHealthInsurance = "DE_HEALTH_INSURANCE",
    DeIdCard = "DE_ID_CARD",
    DeKfz = "DE_KFZ",
    DeLanr = "DE_LANR",
    DePassport = "DE_PASSPORT",
    DePlz = "DE_PLZ",
    DeSocialSecurity = "DE_SOCIAL_SECURITY",
    DeTaxId = "DE_TAX_ID",
    DeTaxNumber = "DE_TAX_NUMBER",
    DeVatId = "DE_VAT_ID",
    EsNif = "ES_NIF",
    EsNie = "ES_NIE",
    EsPassport = "ES_PASSPORT",
    ItFiscalCode = "IT_FISCAL_CODE",
    ItVatCode = "IT_VAT_CODE",
    ItDriverLicense = "IT_DRIVER_LICENSE",
    ItIdentityCard = "IT_IDENTITY_CARD",
    ItPassport = "IT_PASSPORT",
    PlPesel = "PL_PESEL",
    FiPersonalIdentityCode = "FI_PERSONAL_IDENTITY_CODE",
    SePersonnummer = "SE_PERSONNUMMER",
    SeOrganisationsnummer = "SE_ORGANISATIONSNUMMER",
    InAadhaar = "IN_AADHAAR",
    InGstin = "IN_GSTIN",
    InPan = "IN_PAN",
    InPassport = "IN_PASSPORT",
    InVehicleRegistration = "IN_VEHICLE_REGISTRATION",
    InVoter = "IN_VOTER",
    KrRrn = "KR_RRN",
    KrBrn = "KR_BRN",
    KrDriverLicense = "KR_DRIVER_LICENSE",
    KrFrn = "KR_FRN",
    KrPassport = "KR_PASSPORT",
    AuAbn = "AU_ABN",
    AuAcn = "AU_ACN",
    AuTfn = "AU_TFN",
    AuMedicare = "AU_MEDICARE",
    CaSin = "CA_SIN",
    SgNricFin = "SG_NRIC_FIN",
    SgUen = "SG_UEN",
    ThTnin = "TH_TNIN",
    TrNationalId = "TR_NATIONAL_ID",
    TrLicensePlate = "TR_LICENSE_PLATE",
    TrPhoneNumber = "TR_PHONE_NUMBER",
    ZaIdNumber = "ZA_ID_NUMBER",
    NgNin = "NG_NIN",
    NgVehicleRegistration = "NG_VEHICLE_REGISTRATION",
    PhMobileNumber = "PH_MOBILE_NUMBER",
    PhTin = "PH_TIN",
    ApiKey = "API_KEY",
    PrivateKey = "PRIVATE_KEY",
    JsonWebToken = "JSON_WEB_TOKEN",
    CredentialUri = "CREDENTIAL_URI",
    Other = "OTHER",
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that is no entity's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown entity `{name}`")]
pub struct UnknownEntity {
    /// The name as given.
    pub name: String,
}

impl FromStr for Entity {
    type Err = UnknownEntity;

    fn from_str(name: &str) -> Result<Self, UnknownEntity> {
        let found = Self::ALL.iter().find(|entity| entity.name().eq_ignore_ascii_case(name));
        found.copied().ok_or_else(|| UnknownEntity { name: name.to_owned() })
    }
}

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Entity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(D::Error::custom)
    }
}
