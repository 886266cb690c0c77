using System.Xml.Linq;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.Architecture;

public sealed class ProjectArrowTests
{
    /// <summary>What each project may reference. Tests may reference all.</summary>
    private static readonly Dictionary<string, string[]> Allowed = new(StringComparer.Ordinal)
    {
        ["AppHost"] = ["Api", "Evaluator", "Migrator", "Simulator", "Workers"],
        ["Api"] = ["Core", "ServiceDefaults"],
        ["Workers"] = ["Core", "ServiceDefaults"],
        ["Evaluator"] = ["Core", "ServiceDefaults"],
        ["Migrator"] = ["Core", "ServiceDefaults"],
        ["Core"] = [],
        ["ServiceDefaults"] = [],
        ["Simulator"] = [],
    };

    private static readonly Dictionary<string, XDocument> Projects = Repository.Files("*.csproj")
        .Where(p => !p.StartsWith("tests/", StringComparison.Ordinal))
        .ToDictionary(p => Path.GetFileNameWithoutExtension(p), p => XDocument.Parse(Repository.Read(p)), StringComparer.Ordinal);

    public static TheoryData<string> Names => [.. Projects.Keys];

    [Fact]
    public void Every_project_is_known() => Assert.Equal(Allowed.Keys.Order(StringComparer.Ordinal), Projects.Keys.Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Names))]
    public void A_project_references_only_what_it_may(string project)
        => Assert.Empty(References(Projects[project]).Except(Allowed[project], StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Names))]
    public void No_project_reference_hides_in_a_file_that_all_import(string project)
    {
        // Directory.Build.props and .targets could add references to everything; reading csproj files alone would miss it.
        Assert.NotNull(Projects[project]);
        Assert.All(
            Repository.Files("Directory.*").Where(f => !f.EndsWith("Packages.props", StringComparison.Ordinal)),
            file => Assert.Empty(References(XDocument.Parse(Repository.Read(file)))));
    }

    [Fact]
    public void The_AppHost_builds_our_projects_but_links_none()
    {
        var update = Projects["AppHost"].Descendants("ProjectReference").Single(r => r.Attribute("Update") is not null);

        Assert.Equal("@(ProjectReference)", update.Attribute("Update")!.Value);
        Assert.Equal("false", update.Attribute("ReferenceOutputAssembly")!.Value);
        Assert.Empty(OurReferences(typeof(Aspire.Hosting.Embedded.LaunchOptions).Assembly));
    }

    [Fact]
    public void The_Simulator_shares_no_code_with_us() => Assert.Empty(OurReferences(typeof(AiAspire.Simulator.SimulatorApp).Assembly));

    [Fact]
    public void Core_knows_no_http_server()
    {
        var core = Projects["Core"];

        Assert.Equal("Microsoft.NET.Sdk", core.Root!.Attribute("Sdk")!.Value);
        Assert.Empty(core.Descendants("FrameworkReference"));
        Assert.DoesNotContain(core.Descendants("PackageReference"), p => p.Attribute("Include")!.Value.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal));
        Assert.DoesNotContain(
            typeof(ChatRequest).Assembly.GetReferencedAssemblies(), a => a.Name!.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal));
    }

    private static IEnumerable<string> References(XDocument project)
        => project.Descendants("ProjectReference")
            .Select(r => r.Attribute("Include")?.Value)
            .OfType<string>()
            .Select(path => Path.GetFileNameWithoutExtension(path.Replace('\\', '/')));

    private static IEnumerable<string> OurReferences(System.Reflection.Assembly assembly)
        => assembly.GetReferencedAssemblies().Select(a => a.Name!).Where(n => n.StartsWith("AiAspire", StringComparison.Ordinal));
}
