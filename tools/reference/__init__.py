"""The pages of the site that are made of the code, as Markdown: what they say is what runs."""
