"""Extensions of Sphinx that this site needs: code that runs, pictures, pages made of code."""
