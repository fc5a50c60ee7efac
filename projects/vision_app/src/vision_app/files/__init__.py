"""Opening files of others: images, PDFs, folders of them; and pictures to try."""
