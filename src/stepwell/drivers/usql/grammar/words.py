"""The words of U-SQL; what of them can't be run without the service, and what is of other languages: what to write instead."""

from __future__ import annotations

_CATALOG = "Write the rows to a file with OUTPUT, and read them with EXTRACT; there is no catalog here."
_CODE = "Do that part in a PythonScriptStep before or after; C# code of your own can't be run here."
_READ = "Copy the data by a DataTransferStep, and EXTRACT it from an input of the step."

OUTSIDE = {
    "CREATE": ("CREATE, which makes objects of the catalog,", _CATALOG),
    "DROP": ("DROP, which removes objects of the catalog,", _CATALOG),
    "ALTER": ("ALTER, which changes objects of the catalog,", _CATALOG),
    "INSERT": ("INSERT, which writes to a table of the catalog,", _CATALOG),
    "TRUNCATE": ("TRUNCATE, which empties a table of the catalog,", _CATALOG),
    "REFERENCE": ("REFERENCE, which loads an assembly,", _CODE),
    "USING": ("USING, which names a namespace of C#,", "Leave it out, and write the whole name, such as Math.Abs(x)."),
    "IMPORT": (
        "IMPORT, which takes in a package of the catalog,",
        "Write the package's DECLARE statements in the script.",
    ),
    "EXPORT": ("EXPORT, which is part of a package of the catalog,", "Leave it out."),
    "DEPLOY": ("DEPLOY, which brings files to user code,", _CODE),
    "PROCESS": ("PROCESS, which runs a processor of C#,", _CODE),
    "PRODUCE": ("PRODUCE, which runs user code in C#,", _CODE),
    "REDUCE": (
        "REDUCE, which runs a reducer of C#,",
        "Write SELECT … GROUP BY with aggregates, or use a PythonScriptStep.",
    ),
    "COMBINE": ("COMBINE, which runs a combiner of C#,", "Write a JOIN, or use a PythonScriptStep."),
    "PIVOT": ("PIVOT", "Write an aggregate of a condition for each column, such as SUM(a == 1 ? x : 0) AS a1."),
    "UNPIVOT": ("UNPIVOT", "Write a SELECT for each column, and UNION ALL between them."),
    "SAMPLE": ("SAMPLE", "Write a WHERE on a column, or ORDER BY … FETCH n ROWS."),
    "IF": (
        "IF, which chooses statements,",
        "Write two scripts, and choose the step; in an expression, write `a ? b : c`.",
    ),
    "BEGIN": ("BEGIN, which is part of a procedure,", _CATALOG),
    "RETURN": ("RETURN, which is part of a function of the catalog,", _CATALOG),
    "EXTERNAL": ("EXTERNAL, which reads another database,", _READ),
    "TABLE": ("TABLE, which names a table of the catalog,", _CATALOG),
    "VIEW": ("VIEW, which names an object of the catalog,", _CATALOG),
    "FUNCTION": ("FUNCTION, which makes an object of the catalog,", _CATALOG),
    "PROCEDURE": ("PROCEDURE, which makes an object of the catalog,", _CATALOG),
    "LOCAL": ("LOCAL", "Leave it out."),
    "CALL": ("CALL, which starts a procedure of the catalog,", _CATALOG),
    "SET": ("SET, which changes how the service runs the script,", "Leave it out, and use the step's arguments."),
    "DELETE": ("DELETE, which changes a table of the catalog,", _CATALOG),
    "UPDATE": ("UPDATE, which changes a table of the catalog,", _CATALOG),
}

_WORDS = """ALL AND ANTISEMIJOIN APPLY AS ASC BETWEEN BY CASE CONST CROSS CURRENT DECLARE DESC DISTINCT ELSE END EXCEPT
    EXPLODE EXTRACT FETCH FIRST FOLLOWING FROM FULL GROUP HAVING IN INNER INTERSECT IS JOIN LEFT LIKE NEXT NOT NULL
    OFFSET ON ONLY OR ORDER OUTER OUTPUT OVER PARTITION PRECEDING RANGE RIGHT ROW ROWS SELECT SEMIJOIN THEN TO
    UNBOUNDED UNION USE VALUES WHEN WHERE WITHIN null true false new"""

RESERVED = {
    *OUTSIDE,
    *_WORDS.split(),
}

_INSTEAD = """
    ISNULL COALESCE NVL IFNULL | x ?? y
    IIF IF DECODE | x > 0 ? a : b
    NULLIF | x == y ? (int?) null : x
    CAST CONVERT TRY_CAST TRY_CONVERT | a cast or a method, such as (int) x, int.Parse(x) or x.ToString()
    LEN LENGTH DATALENGTH | x.Length
    UPPER UCASE | x.ToUpper()
    LOWER LCASE | x.ToLower()
    SUBSTRING SUBSTR MID LEFT | x.Substring(0, 3), which counts from 0
    RIGHT | x.Substring(x.Length - 3)
    TRIM LTRIM RTRIM | x.Trim(), x.TrimStart() or x.TrimEnd()
    REPLACE | x.Replace("a", "b")
    CHARINDEX PATINDEX INSTR LOCATE | x.IndexOf("a"), which counts from 0
    CONCAT | string.Concat(x, y), or x + y
    STRING_AGG GROUP_CONCAT LISTAGG | string.Join(";", ARRAY_AGG(x))
    SPLIT STRING_SPLIT | x.Split(';')
    FORMAT TO_CHAR | x.ToString("yyyy-MM-dd"), or string.Format("{0}", x)
    GETDATE NOW SYSDATETIME CURRENT_TIMESTAMP | DateTime.Now
    GETUTCDATE SYSUTCDATETIME | DateTime.UtcNow
    DATEADD | x.AddDays(1), or .AddHours, .AddMonths …
    DATEDIFF | (x - y).TotalDays, or .TotalHours …
    DATEPART YEAR MONTH DAY HOUR MINUTE SECOND | x.Year, .Month, .Day, .Hour …
    TO_DATE STR_TO_DATE | DateTime.Parse(x), or DateTime.ParseExact(x, "yyyyMMdd", null)
    ROUND | Math.Round(x, 2)
    ABS | Math.Abs(x)
    CEILING CEIL | Math.Ceiling(x)
    FLOOR | Math.Floor(x)
    POWER POW | Math.Pow(x, 2)
    SQRT | Math.Sqrt(x)
    LOG LN | Math.Log(x)
    EXP | Math.Exp(x)
    MOD | x % y
    GREATEST | Math.Max(x, y)
    LEAST | Math.Min(x, y)
    NEWID | Guid.NewGuid()
    STDDEV STDDEV_SAMP | STDEV(x)
    VARIANCE | VAR(x)
"""
OF_SQL = {
    word: f"Write {wanted.strip()}."
    for words, _, wanted in (line.partition("|") for line in _INSTEAD.strip().splitlines())
    for word in words.split()
}
"""What to write instead of a function of SQL that U-SQL has not, for its name in capital letters."""
