"""四 Governance: the catalogue of what exists, its category and grade with evidence, its quality, its lineage.

`catalogue.CatalogueService` registers and confirms, `store.DatasetStore` is the one way to write a table dataset,
`quality.service.QualityService` judges by GB/T 36344. This room must not know who asks or what may leave: it states
facts and labels, `secure` decides.
"""
