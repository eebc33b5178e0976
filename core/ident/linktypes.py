"""The ratified link types of GS1: what the target of a link is for.

Source: GS1 Web Vocabulary 1.16, sub-properties of gs1:linkType.
"""

from __future__ import annotations

from typing import Final

VOCABULARY: Final = "https://gs1.org/voc/"
PREFIX: Final = "gs1:"
"""What stands for VOCABULARY in a query and in a record."""

LINK_TYPES: Final = frozenset(
    (
        "activityIdeas", "allergenInfo", "appDownload", "backgroundInfo", "brandHomepageClinical",
        "brandHomepagePatient", "careersInfo", "certificationInfo", "consumerHandlingStorageInfo", "defaultLink",
        "defaultLinkMulti", "dpp", "eifu", "epcis", "epil", "eventsInfo", "faqs", "handledBy", "hasRetailers",
        "homepage", "ingredientsInfo", "instructions", "jws", "leaveReview", "locationInfo", "logisticsInfo",
        "loyaltyProgram", "masterData", "menuInfo", "nutritionalInfo", "openingHoursInfo", "paymentLink", "pip",
        "productSustainabilityInfo", "promotion", "purchaseSuppliesOrAccessories", "quickStartGuide", "recallStatus",
        "recipeInfo", "registerProduct", "registryEntry", "relatedImage", "relatedVideo", "reportFound", "review",
        "safetyInfo", "scheduleTime", "serviceInfo", "smartLabel", "smpc", "socialMedia", "statisticInfo", "subscribe",
        "support", "sustainabilityInfo", "traceability", "tutorial", "userAgreement", "verificationService",
        "whatsInTheBox",
    )
)  # fmt: skip
"""Names within VOCABULARY."""

DEFAULT_LINK: Final = "gs1:defaultLink"
DEFAULT_LINK_MULTI: Final = "gs1:defaultLinkMulti"
HANDLED_BY: Final = "gs1:handledBy"
PIP: Final = "gs1:pip"
