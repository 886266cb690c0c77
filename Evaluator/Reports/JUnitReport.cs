using System.Globalization;
using System.Text;
using System.Xml;
using AiAspire.Evaluator.Gate;

namespace AiAspire.Evaluator.Reports;

/// <summary>
/// The candidate's cases in the JUnit XML that build servers read: <c>failure</c> for a failed case, <c>error</c> for one
/// without a verdict. The gate's decision is the suite's property <c>verdict</c>: it is about the whole, not about a case.
/// </summary>
public static class JUnitReport
{
    public static async Task WriteAsync(EvaluationReport report, string path, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        await File.WriteAllTextAsync(path, Render(report), cancellationToken);
    }

    public static string Render(EvaluationReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var text = new Utf8StringWriter();
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { Indent = true, NewLineChars = "\n" }))
            Write(xml, report);
        return text.ToString();
    }

    private static void Write(XmlWriter xml, EvaluationReport report)
    {
        xml.WriteStartElement("testsuites");
        xml.WriteStartElement("testsuite");
        xml.WriteAttributeString("name", $"{report.Suite}.{report.Candidate}");
        xml.WriteAttributeString("tests", Number(report.Cases.Count));
        xml.WriteAttributeString("failures", Number(report.Cases.Count(c => c.Candidate.Verdict == CaseVerdict.Fail)));
        xml.WriteAttributeString("errors", Number(report.Cases.Count(c => c.Candidate.Verdict == CaseVerdict.Error)));
        xml.WriteAttributeString("skipped", "0");
        xml.WriteAttributeString("time", Seconds(report.DurationSeconds));
        xml.WriteAttributeString("timestamp", report.StartedAt.UtcDateTime.ToString("s", CultureInfo.InvariantCulture));

        xml.WriteStartElement("properties");
        Property(xml, "verdict", report.Decision.Verdict switch
        {
            Verdict.Ship => "ship",
            Verdict.Block => "block",
            _ => "inconclusive",
        });
        if (report.Baseline is { } baseline)
            Property(xml, "baseline", baseline);
        Property(xml, "suite_hash", report.Versions.SuiteHash);
        Property(xml, "prompts_hash", report.Versions.PromptsHash);
        xml.WriteEndElement();

        foreach (var one in report.Cases)
            WriteCase(xml, report, one);
        xml.WriteElementString("system-out", Clean(string.Join('\n', report.Decision.Reasons)));
        xml.WriteEndElement();
        xml.WriteEndElement();
    }

    private static void WriteCase(XmlWriter xml, EvaluationReport report, CaseReport one)
    {
        var outcome = one.Candidate;
        xml.WriteStartElement("testcase");
        xml.WriteAttributeString("classname", $"{report.Suite}.{report.Candidate}");
        xml.WriteAttributeString("name", one.Id);
        xml.WriteAttributeString("time", Seconds((outcome.LatencyMs ?? 0) / 1000));
        switch (outcome.Verdict)
        {
            case CaseVerdict.Fail:
                Problem(xml, "failure", $"failed {outcome.Failures} of {outcome.Repeats.Count} repeats", outcome.Repeats
                    .Where(r => r.Pass == false)
                    .Select(r => $"repeat {r.Repeat}: {Complaints(r)}\n{r.Reply?.Content}"));
                break;
            case CaseVerdict.Error:
                Problem(xml, "error", $"no answer to judge in {outcome.Errors} repeats", outcome.Repeats.Select(r => $"repeat {r.Repeat}: {r.Error}"));
                break;
        }

        xml.WriteEndElement();
    }

    private static void Problem(XmlWriter xml, string element, string message, IEnumerable<string> details)
    {
        xml.WriteStartElement(element);
        xml.WriteAttributeString("message", message);
        xml.WriteString(Clean(string.Join('\n', details)));
        xml.WriteEndElement();
    }

    private static string Complaints(RepeatReport repeat) =>
        string.Join("; ", repeat.Scorers.Where(s => !s.Pass).Select(s => $"{s.Scorer}: {s.Reason}"));

    private static void Property(XmlWriter xml, string name, string value)
    {
        xml.WriteStartElement("property");
        xml.WriteAttributeString("name", name);
        xml.WriteAttributeString("value", Clean(value));
        xml.WriteEndElement();
    }

    // A model may answer with characters that XML 1.0 cannot hold at all. (Enumerating runes also mends lone surrogates.)
    private static string Clean(string text)
    {
        var clean = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            clean.Append(rune.IsBmp && !XmlConvert.IsXmlChar((char)rune.Value) ? "\uFFFD" : rune.ToString());
        return clean.ToString();
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Seconds(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    private sealed class Utf8StringWriter : StringWriter
    {
        public Utf8StringWriter()
            : base(CultureInfo.InvariantCulture)
        {
        }

        public override Encoding Encoding => Encoding.UTF8;
    }
}
